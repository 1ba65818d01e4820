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
    """Checks of one release that share what is read of its files."""

    project: str
    version: str
    checks: list[str]
    downloads: bool = True
    """Whether a predecessor may be downloaded. Otherwise no file is compared with one that is not stored."""


@dataclass(frozen=True)
class CheckReport:
    """The result of one `CheckTask`: how many times a check completed for a file, and how many times it failed."""

    checked: int
    faults: int
    left: bool
    """Whether there is more to check."""


@dataclass(frozen=True)
class CheckActivities:
    """Runs checks. Every step may be repeated: no check inspects a file again that it has completed."""

    checker: Checker

    @activity.defn
    async def check_release(self, task: CheckTask) -> CheckReport:
        """Run checks on held files of a release that they have not inspected, or at which they failed an hour ago."""
        async with heartbeats():
            project = parse_name(task.project)
            done = await self.checker.check(project, task.version, task.checks, downloads=task.downloads)
        return CheckReport(done.checked, done.faults, done.left)

    @activity.defn
    async def note_check_fault(self, task: CheckTask, cause: str) -> None:
        """Record for the files that checks have not inspected why they failed; the files stay held."""
        await self.checker.note_fault(parse_name(task.project), task.version, task.checks, cause)


def wire_checker(
    pool: Pool, bucket: Bucket, files: FileStore, provenance: ProvenanceStore, spool: Path | None
) -> Checker:
    """Return the checker that the activities use."""
    return Checker(pool, FactReader(pool, bucket, files, provenance, Inspector(), spool))
