"""The rule that METADATA and PKG-INFO can be parsed in little time: every other reader of them relies on it."""

from koschey.inspection.archives.rules import Rule, refusal
from koschey.standards.core_metadata import find_excess


def check_bounds(body: bytes, place: str) -> None:
    """Refuse metadata that breaks a bound; `place` is a member by `member_in`."""
    if excess := find_excess(body):
        raise refusal(Rule.METADATA, place, excess, "Leave out extras or requirements, or split the project.")
