"""Runs checks on a portion of a release's files. What is read for one check of a file serves all of them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from koschey.db.findings import CheckRun
from koschey.db.pool import Pool
from koschey.errors import Damaged, KoscheyError
from koschey.inspection.checks.check import FileFacts, Previous
from koschey.inspection.checks.isolate import CheckOutcome
from koschey.inspection.checks.registry import Installed
from koschey.model import FileId, StandingFile
from koschey.quarantine.check_runs import FileRun, record_runs
from koschey.quarantine.file_facts import FactReader, Portion

WRITE_EVERY = 5.0
"""Seconds after which outcomes are written; at most those of this time are lost if the worker dies."""
LONGEST = 500
"""Maximum number of characters in the cause of a fault."""


@dataclass(slots=True)
class PortionChecks:
    """The checks of one portion."""

    pool: Pool
    reader: FactReader
    portion: Portion
    here: Mapping[str, Installed]
    """The checks that this worker has, by their names."""
    downloads: bool
    """Whether a predecessor may be downloaded. Otherwise a file is not compared with one that is not stored."""
    until: float
    """When to begin no further file, by the monotonic clock."""
    checked: int = 0
    faults: int = 0
    left: bool = False
    """Whether a file was not checked, or not compared, because of that."""

    async def run(self, due: Mapping[FileId, Sequence[str]]) -> None:
        """Run the checks of each file, and record their outcomes every `WRITE_EVERY` seconds and at the end."""
        unwritten, deadline = list[FileRun](), time.monotonic() + WRITE_EVERY
        for item in self.portion.items:
            if time.monotonic() > self.until:
                self.left = True
                break
            unwritten += [(item, run) for run in await self._check_file(item, due[item.file.id])]
            if time.monotonic() > deadline:
                await self._record(unwritten)
                unwritten, deadline = [], time.monotonic() + WRITE_EVERY
        await self._record(unwritten)

    async def _record(self, runs: Sequence[FileRun]) -> None:
        if runs:
            await record_runs(self.pool, self.portion.read_at, runs)
            faults = sum(run.fault is not None for _, run in runs)
            self.faults += faults
            self.checked += len(runs) - faults

    async def _check_file(self, item: StandingFile, names: Sequence[str]) -> list[CheckRun]:
        """Run checks on one file. If its facts are not available, return faults and raise nothing."""
        missing = [name for name in names if name not in self.here]
        runs = [_fault(item, name, f"the check {name} is not installed on this worker") for name in missing]
        checks = [self.here[name] for name in names if name in self.here]
        if not self.downloads and any(check.compares for check in checks) and not self.portion.is_comparable(item):
            self.left, checks = True, [check for check in checks if not check.compares]
        if not checks:
            return runs
        try:
            facts = await self.reader.read(item, self.portion)
        except Damaged as error:
            # The file counts as not stored from now on. Once it is stored again, the other checks run at once.
            return [*runs, _fault(item, checks[0].name, _words(error))]
        except (KoscheyError, OSError) as error:
            return [*runs, *(_fault(item, check.name, _words(error)) for check in checks)]
        runs += await self._run_all([check for check in checks if not check.compares], item, facts, None)
        if comparing := [check for check in checks if check.compares]:
            try:
                previous = await self.reader.read_previous(item, self.portion)
            except (KoscheyError, OSError) as error:
                return [*runs, *(_fault(item, check.name, _words(error)) for check in comparing)]
            runs += await self._run_all(comparing, item, facts, previous)
        return runs

    async def _run_all(
        self, checks: Sequence[Installed], item: StandingFile, facts: FileFacts, previous: Previous | None
    ) -> list[CheckRun]:
        """Run each check; only those that read the file itself receive its bytes."""
        return [_run_of(item, check.name, await self._run(check, item, facts, previous)) for check in checks]

    async def _run(
        self, check: Installed, item: StandingFile, facts: FileFacts, previous: Previous | None
    ) -> CheckOutcome:
        if not check.reads_file:
            return await check.run(facts, -1, previous)
        try:
            async with self.reader.open(item.file) as copy:
                return await check.run(facts, copy.fileno(), previous)
        except (KoscheyError, OSError) as error:
            return CheckOutcome(fault=_words(error))


def _run_of(item: StandingFile, name: str, outcome: CheckOutcome) -> CheckRun:
    findings = tuple(replace(finding, check=name) for finding in outcome.findings)
    return CheckRun(item.file.id, name, findings, outcome.fault)


def _fault(item: StandingFile, name: str, cause: str) -> CheckRun:
    return CheckRun(item.file.id, name, fault=cause[:LONGEST])


def _words(error: KoscheyError | OSError) -> str:
    if isinstance(error, KoscheyError):
        return str(error)
    return f"the file could not be copied to the spool folder: {error}"
