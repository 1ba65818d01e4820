"""What an archive has that only some systems handle well: rules for uploads with a switch decide about it.

A file that an upstream has accepted already is no upload: for it each of these is a broken rule, as any other.
"""

from enum import StrEnum
from typing import NamedTuple

from koschey.errors import Refused

MOST = 20
"""Faults of one kind that an uploader is told."""


class Tolerated(StrEnum):
    """Rules for uploads that have a switch and are about archives."""

    CASE_TWINS = "case-twins"
    SCRIPT_NAME = "script-name"


class ArchiveFault(NamedTuple):
    """One fault, in words for the uploader."""

    rule: str
    text: str


class Faults:
    """Collects the faults of one archive, or refuses the first."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self.found: list[ArchiveFault] = []

    def note(self, rule: Tolerated, refusal: Refused) -> None:
        """Note a fault. Raises the refusal where nothing is tolerated."""
        if self._strict:
            raise refusal
        if sum(fault.rule == rule for fault in self.found) < MOST:
            self.found.append(ArchiveFault(rule, str(refusal)))


STRICT = Faults(strict=True)
"""For mirrored files; it collects nothing."""
