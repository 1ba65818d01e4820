"""Activities that have checks inspect a release. `koschey.worker.wiring` binds them; `register_checks` goes before."""

from dataclasses import dataclass
from pathlib import Path

from temporalio import activity

from activities.execution import heartbeats
from koschey.db.pool import Pool
from koschey.inspection.sandbox.inspector import Inspector
from koschey.mirror.attestations import ProvenanceStore
from koschey.mirror.file_store import FileStore
from koschey.quarantine.checking import Checker, register_checks
from koschey.quarantine.file_facts import FactReader
from koschey.standards.names import parse_name
from koschey.storage.s3 import Bucket

__all__ = ["CheckActivities", "CheckReport", "CheckTask", "register_checks", "wire_checker"]


@dataclass(frozen=True)
class CheckTask:
    """One check of one release."""

    project: str
    version: str
    check: str


@dataclass(frozen=True)
class CheckReport:
    """What became of it."""

    checked: int
    faults: int
    left: bool
    """Whether there are files that it has not come to."""


@dataclass(frozen=True)
class CheckActivities:
    """Runs checks. Every step may be repeated: what a check has seen is not shown to it again."""

    checker: Checker

    @activity.defn
    async def check_release(self, task: CheckTask) -> CheckReport:
        """Have a check look at the held files of a release that it has not seen, or failed at an hour ago."""
        async with heartbeats():
            done = await self.checker.check(parse_name(task.project), task.version, task.check)
        return CheckReport(done.checked, done.faults, done.left)

    @activity.defn
    async def note_check_fault(self, task: CheckTask, cause: str) -> None:
        """Say of files that a check has not seen why it did not look; they stay held."""
        await self.checker.note_fault(parse_name(task.project), task.version, task.check, cause)


def wire_checker(
    pool: Pool, bucket: Bucket, files: FileStore, provenance: ProvenanceStore, spool: Path | None
) -> Checker:
    """Return what the activities work with."""
    return Checker(pool, FactReader(pool, bucket, files, provenance, Inspector(), spool))
