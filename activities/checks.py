"""Activities in which checks inspect a release. `koschey.worker.wiring` binds them.

A worker calls `register_checks` before them.
"""

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
    """The result of one `CheckTask`: the numbers of files that were checked, and at which the check failed."""

    checked: int
    faults: int
    left: bool
    """Whether there are files that the check has not inspected yet."""


@dataclass(frozen=True)
class CheckActivities:
    """Runs checks. Every step may be repeated: no check inspects a file again that it has completed."""

    checker: Checker

    @activity.defn
    async def check_release(self, task: CheckTask) -> CheckReport:
        """Run a check on the held files of a release that it has not inspected, or at which it failed an hour ago."""
        async with heartbeats():
            done = await self.checker.check(parse_name(task.project), task.version, task.check)
        return CheckReport(done.checked, done.faults, done.left)

    @activity.defn
    async def note_check_fault(self, task: CheckTask, cause: str) -> None:
        """Record for the files that a check has not inspected why it failed; they stay held."""
        await self.checker.note_fault(parse_name(task.project), task.version, task.check, cause)


def wire_checker(
    pool: Pool, bucket: Bucket, files: FileStore, provenance: ProvenanceStore, spool: Path | None
) -> Checker:
    """Return the checker that the activities use."""
    return Checker(pool, FactReader(pool, bucket, files, provenance, Inspector(), spool))
