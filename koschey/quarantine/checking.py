"""Runs checks on held releases, and records their findings, or why they could not be completed.

There is a run for every file and check of every release. A run without a fault and without a finding is a row of
`check_run` only, because nobody needs it in the journal. Findings and faults are in the journal too, once as long as
they stay the same. A serious finding also raises an alert, once for each release.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from packaging.utils import NormalizedName

from koschey.db import files, journal, projects
from koschey.db.checking import select_alerted_codes, select_due, select_due_checks
from koschey.db.findings import CheckRun, select_evidence, select_known_checks, write_known_checks, write_runs
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Pool
from koschey.db.record import Record
from koschey.db.rules import select_rules
from koschey.errors import KoscheyError
from koschey.events import AlertKind, Event
from koschey.inspection.checks.isolate import CheckOutcome
from koschey.inspection.checks.registry import Installed, load
from koschey.model import SYSTEM, Origin, StandingFile
from koschey.policy.findings import Evidence, Finding, KnownCheck, Severity, is_required
from koschey.quarantine.file_facts import FactReader

log = structlog.get_logger()

AGAIN = timedelta(hours=1)
"""Time after which a check that could not be completed is tried again."""
AT_MOST = 200
"""Maximum number of files in one call."""
WRITE_EVERY = 5.0
"""Seconds after which outcomes are written; at most those of this time are lost if the worker dies."""
LONGEST = 500
"""Maximum number of characters in the cause of a fault."""


@dataclass(frozen=True, slots=True)
class CheckCounts:
    """How many files of a release a check completed, and how many it could not."""

    checked: int = 0
    faults: int = 0
    left: bool = False
    """Whether there are more files that the check has not seen."""


type CheckResult = tuple[StandingFile, CheckOutcome]
"""A file, and the outcome of one check of it."""


@dataclass(slots=True)
class Checker:
    """Runs checks. A process has one."""

    pool: Pool
    reader: FactReader
    load: Callable[[], Any] = load
    _checks: tuple[Installed, ...] | None = field(default=None)

    async def checks(self) -> tuple[Installed, ...]:
        """Return the checks that are installed here. Raises `StartError` if one cannot be loaded."""
        if self._checks is None:
            self._checks = await self.load()
        return self._checks

    async def names(self) -> list[str]:
        """Return the checks that are installed or once were, `archive` first. A missing one is recorded as a fault."""
        here = [check.name for check in await self.checks()]
        known = [check.name for check in await select_known_checks(self.pool)]
        return [*here, *(name for name in known if name not in here)]

    async def due(self, project: NormalizedName, version: str) -> list[str]:
        """Return the required checks that are due for a held and stored file: new to it, or to be tried again."""
        found = await projects.select_project(self.pool, project)
        due = await select_due_checks(self.pool, project, version, await self.names(), AGAIN)
        if found is None or not due:
            return []
        rules = await select_rules(self.pool, project, found.origin)
        return [name for name in due if is_required(rules, version, KnownCheck(name, {}))]

    async def quick(self, names: Sequence[str]) -> list[str]:
        """Return those of the checks that neither read a file nor may need to download one."""
        here = {check.name: check for check in await self.checks()}
        return [name for name in names if name in here and not (here[name].reads_file or here[name].compares)]

    async def check(self, project: NormalizedName, version: str, name: str) -> CheckCounts:
        """Run a check on the held files of a release that are due for it, at most `AT_MOST` of them."""
        found = await projects.select_project(self.pool, project)
        if found is None or not await self._is_wanted(project, found.origin, version, name):
            return CheckCounts()
        due = await select_due(self.pool, project, version, name, AGAIN, AT_MOST + 1)
        if not due:
            return CheckCounts()
        faults = 0
        async for began_at, results in self._check_files(name, due[:AT_MOST], found.origin):
            await self._record(project, name, began_at, results)
            faults += sum(outcome.fault is not None for _, outcome in results)
        return CheckCounts(min(len(due), AT_MOST) - faults, faults, len(due) > AT_MOST)

    async def note_fault(self, project: NormalizedName, version: str, name: str, cause: str) -> None:
        """Record a fault of a check for the files that are due for it, at most `AT_MOST` of them."""
        due = await select_due(self.pool, project, version, name, AGAIN, AT_MOST)
        results = [(item, CheckOutcome(fault=cause[:LONGEST])) for item in due]
        if results:
            await self._record(project, name, await projects.select_now(self.pool), results)

    async def _is_wanted(self, project: NormalizedName, origin: Origin, version: str, name: str) -> bool:
        return is_required(await select_rules(self.pool, project, origin), version, KnownCheck(name, {}))

    async def _check_files(
        self, name: str, due: Sequence[StandingFile], origin: Origin
    ) -> AsyncIterator[tuple[datetime, Sequence[CheckResult]]]:
        """Run a check on files; yield the outcomes every `WRITE_EVERY` seconds, and when those runs began."""
        known = await files.select_project_files(self.pool, due[0].file.project)
        check = next((check for check in await self.checks() if check.name == name), None)
        left = list(reversed(due))
        while left:
            began_at, deadline = await projects.select_now(self.pool), time.monotonic() + WRITE_EVERY
            results: list[CheckResult] = []
            while left and time.monotonic() < deadline:
                item = left.pop()
                results.append((item, await self._check_file(check, name, item, origin, known)))
            yield began_at, results

    async def _check_file(
        self,
        check: Installed | None,
        name: str,
        item: StandingFile,
        origin: Origin,
        known: Sequence[StandingFile],
    ) -> CheckOutcome:
        """Run a check on one file. If the file or its facts are not available, return a fault and raise nothing."""
        if check is None:
            return CheckOutcome(fault=f"the check {name} is not installed on this worker")
        try:
            facts = await self.reader.read(item, origin, known)
            previous = await self.reader.read_previous(item, origin, known) if check.compares else None
            if not check.reads_file:
                return await check.run(facts, -1, previous)
            async with self.reader.open(item.file) as copy:
                return await check.run(facts, copy.fileno(), previous)
        except KoscheyError as error:
            return CheckOutcome(fault=str(error)[:LONGEST])
        except OSError as error:
            return CheckOutcome(fault=f"the file could not be copied to the spool folder: {error}"[:LONGEST])

    async def _record(
        self, project: NormalizedName, name: str, began_at: datetime, results: Sequence[CheckResult]
    ) -> None:
        """Record the outcomes of one check, in one transaction."""
        runs = [
            CheckRun(item.file.id, tuple(replace(finding, check=name) for finding in outcome.findings), outcome.fault)
            for item, outcome in results
        ]
        async with self.pool.acquire() as connection, connection.transaction():
            await projects.lock_project(connection, project)
            before = await select_evidence(connection, [run.file for run in runs])
            await write_runs(connection, name, began_at, runs)
            await self._record_and_alert(
                connection,
                project,
                name,
                [
                    (item, run)
                    for (item, _), run in zip(results, runs, strict=True)
                    if _news(run.findings, run.fault) != _news(*_recorded_before(before[run.file], name))
                ],
            )

    async def _record_and_alert(
        self, connection: Connection, project: NormalizedName, name: str, news: Sequence[tuple[StandingFile, CheckRun]]
    ) -> None:
        """Write the journal, and alert people once of each serious code. All files belong to one release."""
        record, alerted = Record(connection, SYSTEM, project), set[str]()
        if news:
            alerted = await select_alerted_codes(connection, project, news[0][0].file.version, name)
        for item, run in news:
            file, codes = item.file, sorted({finding.code for finding in run.findings})
            record.add(
                Event.CHECK, [Entry(file.version, file.filename, {"check": name, "codes": codes, "fault": run.fault})]
            )
            for finding in run.findings:
                if finding.severity is Severity.SERIOUS and finding.code not in alerted:
                    alerted.add(finding.code)
                    said: dict[str, object] = {"check": name, "code": finding.code, "summary": finding.summary}
                    record.alert(AlertKind.FINDING, [Entry(file.version, file.filename, said)])
        await record.write()


def _news(findings: Sequence[Finding], fault: str | None) -> tuple[list[tuple[str, str]], str | None]:
    return sorted((finding.code, finding.summary) for finding in findings), fault


def _recorded_before(known: Evidence, name: str) -> tuple[list[Finding], str | None]:
    findings = [finding for finding in known.findings if finding.check == name]
    return findings, next((fault.cause for fault in known.faults if fault.check == name), None)


async def register_checks(pool: Pool) -> list[str]:
    """Record which checks this worker has; from now on files are held until these are complete. Return their names.

    A worker calls this once at its start. Raises `StartError` if a check cannot be loaded.
    """
    checks = await load()
    codes = {check.name: _codes(check) for check in checks}
    async with pool.acquire() as connection, connection.transaction():
        news = await write_known_checks(connection, codes)
        if news:
            detail: dict[str, object] = {"checks": news}
            await journal.insert_entries(connection, SYSTEM, Event.CHECKS, "*", [Entry(detail=detail)])
    names = [check.name for check in checks]
    missing = [check.name for check in await select_known_checks(pool) if check.name not in names]
    if missing:
        log.warning("checks that were installed before are missing; files are held until they return", checks=missing)
    return names


def _codes(check: Installed) -> Mapping[str, Mapping[str, Any]]:
    return {code: {"what": each.what, "action": str(each.action)} for code, each in check.codes.items()}
