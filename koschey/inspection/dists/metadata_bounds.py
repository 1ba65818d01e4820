"""The rule that METADATA and PKG-INFO can be parsed quickly; every other reader of them relies on it."""

from koschey.inspection.archives.rules import ArchiveRule, refusal
from koschey.standards.core_metadata import find_excess


def check_bounds(body: bytes, place: str) -> None:
    """Refuse metadata that breaks a bound; `place` is a member as `member_in` names it."""
    if excess := find_excess(body):
        raise refusal(ArchiveRule.METADATA, place, excess, "Leave out extras or requirements, or split the project.")
