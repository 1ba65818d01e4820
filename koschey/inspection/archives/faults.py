"""Faults of archives that only some systems handle well: upload rules with a switch decide about them.

A file that an upstream has already accepted is not an upload: for it each of these faults is a broken rule like any
other.
"""

from enum import StrEnum
from typing import NamedTuple

from koschey.errors import Refused

MOST = 20
"""Maximum number of faults of one kind that are reported to an uploader."""


class Tolerated(StrEnum):
    """Upload rules about archives that have a switch."""

    CASE_TWINS = "case-twins"
    SCRIPT_NAME = "script-name"


class ArchiveFault(NamedTuple):
    """One fault, with a message for the uploader."""

    rule: str
    text: str


class Faults:
    """Collects the faults of one archive, or refuses the first."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self.found: list[ArchiveFault] = []

    def note(self, rule: Tolerated, refusal: Refused) -> None:
        """Record a fault. Raises the refusal if nothing is tolerated."""
        if self._strict:
            raise refusal
        if sum(fault.rule == rule for fault in self.found) < MOST:
            self.found.append(ArchiveFault(rule, str(refusal)))


STRICT = Faults(strict=True)
"""Refuses the first fault, for mirrored files; it collects nothing."""
