"""Verifies that the journal is the one that was written: no entry changed, removed, inserted or cut off.

Each entry has a digest: the SHA-256 of the digest before it and of its own fields. A trigger computes it when the entry
is written, and this module computes it again. An attacker who can change an entry in PostgreSQL can also replace all
later digests. The anchors in the bucket (`koschey.governance.anchors`) reveal that.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from koschey.db.journal_chain import ChainedEntry
from koschey.explained import Explained

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LISTED = 100
"""Maximum number of faults that a report lists. It counts all."""


class FaultKind(Explained):
    """What is wrong with the journal at a serial."""

    CHANGED = "changed", "The entry is not the one that was written under this serial."
    MISSING = "missing", "No entry has this serial."
    UNCHAINED = "unchained", "The entry has no digest, although earlier ones do."
    CUT_OFF = "cut off", "The journal ends before this serial, which was given out or anchored."
    REWRITTEN = "rewritten", "An anchor in the bucket has another digest for this entry."


class Fault(Struct, frozen=True, kw_only=True):
    """A fault. `last` is the last serial of a range that has it."""

    kind: FaultKind
    serial: int
    last: int


class ChainReport(Struct, kw_only=True):
    """The result of a verification."""

    entries: int = 0
    """Number of entries that were read."""
    last: int = 0
    """Serial of the last entry."""
    unchained: int = 0
    """Number of entries at the beginning that are older than the chain."""
    anchors: int = 0
    """Number of anchors that were compared."""
    fault_count: int = 0
    faults: list[Fault] = field(default_factory=list)
    """The first `LISTED` faults."""

    def add(self, kind: FaultKind, serial: int, last: int | None = None) -> None:
        """Count a fault, and list it while there are few."""
        self.fault_count += 1
        if len(self.faults) < LISTED:
            self.faults.append(Fault(kind=kind, serial=serial, last=serial if last is None else last))


def entry_digest(before: bytes, entry: ChainedEntry) -> bytes:
    """Return the digest of an entry; `before` is the digest of the entry before it, empty for the first one.

    It is the SHA-256 of `before` and a JSON array in UTF-8, as PostgreSQL writes it: serial, microseconds since 1970,
    actor, door, action, project, version, filename, and the detail.
    """
    values = (
        *(entry.serial, (entry.at - EPOCH) // MICROSECOND, entry.actor, entry.door, entry.action),
        *(entry.project, entry.version, entry.filename),
    )
    written = [*(json.dumps(value, ensure_ascii=False) for value in values), entry.detail]
    return hashlib.sha256(before + f"[{', '.join(written)}]".encode()).digest()


async def verify_chain(
    entries: AsyncIterator[ChainedEntry], *, anchors: Mapping[int, bytes], given_out: int | None = None, after: int = 0
) -> ChainReport:
    """Compute all digests again, and compare them.

    :param entries: all entries after the serial `after`, in their order; the first digest of a part is believed
    :param anchors: digests by serial that were kept elsewhere
    :param given_out: the last serial that the counter gave out, if it is known
    """
    report, chain = ChainReport(last=after), _Chain(is_broken=after > 0)
    async for entry in entries:
        if entry.serial > report.last + 1:
            report.add(FaultKind.MISSING, report.last + 1, entry.serial - 1)
            chain.is_broken = True
        chain.verify(entry, report)
        if entry.serial in anchors:
            report.anchors += 1
            if anchors[entry.serial] != entry.digest:
                report.add(FaultKind.REWRITTEN, entry.serial)
        report.entries, report.last = report.entries + 1, entry.serial
    ends_at = max([given_out or 0, *anchors])
    if ends_at > report.last:
        report.add(FaultKind.CUT_OFF, report.last + 1, ends_at)
    return report


class _Chain:
    """The digest before the next entry."""

    def __init__(self, *, is_broken: bool) -> None:
        self.is_broken = is_broken
        """Whether the entry before the next one is missing, so that its digest cannot be computed."""
        self._before: bytes | None = None

    def verify(self, entry: ChainedEntry, report: ChainReport) -> None:
        """Compare the digest of an entry. After a fault, later entries are compared with the digest that is stored."""
        if entry.digest is None:
            if self._before is None:
                report.unchained += 1
            else:
                report.add(FaultKind.UNCHAINED, entry.serial)
                self.is_broken = True
            return
        if not self.is_broken and entry_digest(self._before or b"", entry) != entry.digest:
            report.add(FaultKind.CHANGED, entry.serial)
        self._before, self.is_broken = entry.digest, False
