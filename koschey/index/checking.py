"""Has checks look at held releases, and writes down what they found, or why they could not look.

A run without a fault and without a finding changes nothing that anybody would ask the journal about, and there is one
for every file and check of every release; such runs are rows of `check_run` alone. What was found, and what went wrong,
is in the journal, once as long as it stays the same; a serious finding also raises an alert, once for a release.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog
from packaging.utils import NormalizedName

from koschey.db import files, journal, projects
from koschey.db.alerts import insert_alert
from koschey.db.checking import select_due, select_told
from koschey.db.findings import select_evidence, select_known_checks, write_known_checks, write_run
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Pool
from koschey.db.rules import select_rules
from koschey.errors import KoscheyError
from koschey.index.file_facts import FactReader
from koschey.inspection.checks.isolate import Outcome
from koschey.inspection.checks.registry import Installed, load
from koschey.model import SYSTEM, Origin, StandingFile
from koschey.policy.findings import Finding, KnownCheck, Severity, is_required
from koschey.storage.s3 import UNAVAILABLE

log = structlog.get_logger()

AGAIN = timedelta(hours=1)
"""After which a check that could not be completed is tried once more."""
AT_MOST = 200
"""Files of one call."""
LONGEST = 500
"""Characters of a cause."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of the files of a release that a check had not seen."""

    checked: int = 0
    faults: int = 0
    left: bool = False
    """Whether there are more of them."""


@dataclass(slots=True)
class Checker:
    """Runs checks. One per process."""

    pool: Pool
    reader: FactReader
    load: Callable[[], Any] = load
    _checks: tuple[Installed, ...] | None = field(default=None)

    async def checks(self) -> tuple[Installed, ...]:
        """Return those that are installed here. Raises `StartError` where one cannot be loaded."""
        if self._checks is None:
            self._checks = await self.load()
        return self._checks

    async def names(self) -> list[str]:
        """Return all that are installed or were once, `archive` first: one that is gone says so where it is missed."""
        here = [check.name for check in await self.checks()]
        known = [check.name for check in await select_known_checks(self.pool)]
        return [*here, *(name for name in known if name not in here)]

    async def check(self, project: NormalizedName, version: str, name: str) -> Checked:
        """Have a check look at the held files of a release that it has not seen, `AT_MOST` at once."""
        found = await projects.select_project(self.pool, project)
        if found is None or not await self._is_wanted(project, found.origin, version, name):
            return Checked()
        due = await select_due(self.pool, project, version, name, AGAIN, AT_MOST + 1)
        if not due:
            return Checked()
        known = await files.select_project_files(self.pool, project)
        check = next((check for check in await self.checks() if check.name == name), None)
        faults = 0
        for item in due[:AT_MOST]:
            outcome = await self._look(check, name, item, found.origin, known)
            await self._record(item, name, outcome)
            faults += outcome.fault is not None
        return Checked(min(len(due), AT_MOST) - faults, faults, len(due) > AT_MOST)

    async def note_fault(self, project: NormalizedName, version: str, name: str, cause: str) -> None:
        """Write down for all files that a check has not seen why it did not look."""
        for item in await select_due(self.pool, project, version, name, AGAIN, AT_MOST):
            await self._record(item, name, Outcome(fault=cause[:LONGEST]))

    async def _is_wanted(self, project: NormalizedName, origin: Origin, version: str, name: str) -> bool:
        return is_required(await select_rules(self.pool, project, origin), version, KnownCheck(name, {}))

    async def _look(
        self,
        check: Installed | None,
        name: str,
        item: StandingFile,
        origin: Origin,
        known: Sequence[StandingFile],
    ) -> Outcome:
        """Ask a check about one file. What cannot be had now is a fault; nothing is raised for it."""
        if check is None:
            return Outcome(fault=f"the check {name} is not installed on this worker")
        try:
            facts = await self.reader.read(item, origin, known)
            previous = await self.reader.read_previous(item, origin, known) if check.compares else None
            if not check.reads_file:
                return await check.run(facts, -1, previous)
            async with self.reader.open(item.file) as copy:
                return await check.run(facts, copy.fileno(), previous)
        except KoscheyError as error:
            return Outcome(fault=str(error)[:LONGEST])
        except UNAVAILABLE as error:
            return Outcome(fault=f"the bucket cannot be read: {error or type(error).__name__}"[:LONGEST])

    async def _record(self, item: StandingFile, name: str, outcome: Outcome) -> None:
        file, findings = item.file, [replace(finding, check=name) for finding in outcome.findings]
        async with self.pool.acquire() as connection, connection.transaction():
            await projects.lock_project(connection, file.project)
            before = (await select_evidence(connection, [file.id]))[file.id]
            await write_run(connection, file.id, name, findings, outcome.fault)
            said_before = (
                [finding for finding in before.findings if finding.check == name],
                next((fault.cause for fault in before.faults if fault.check == name), None),
            )
            if _news(findings, outcome.fault) != _news(*said_before):
                await self._tell(connection, item, name, replace(outcome, findings=tuple(findings)))

    async def _tell(self, connection: Connection, item: StandingFile, name: str, outcome: Outcome) -> None:
        """Write the journal, and alert whoever should know at once."""
        file = item.file
        told = await select_told(connection, file.project, file.version, name)
        detail: dict[str, object] = {
            "check": name,
            "codes": sorted({finding.code for finding in outcome.findings}),
            "fault": outcome.fault,
        }
        entry = Entry(file.version, file.filename, detail)
        serial = await journal.insert_entries(connection, SYSTEM, "check", file.project, [entry])
        for finding in outcome.findings:
            if finding.severity is Severity.SERIOUS and finding.code not in told:
                told.add(finding.code)
                said: dict[str, object] = {"check": name, "code": finding.code, "summary": finding.summary}
                await insert_alert(connection, serial, "finding", file.project, file.version, file.filename, said)


def _news(findings: Sequence[Finding], fault: str | None) -> tuple[list[tuple[str, str]], str | None]:
    return sorted((finding.code, finding.summary) for finding in findings), fault


async def register_checks(pool: Pool) -> list[str]:
    """Write down which checks this worker brings; from now on files wait for them. Returns their names.

    Called once at the start of a worker. Raises `StartError` where one of them cannot be loaded.
    """
    checks = await load()
    codes = {check.name: _codes(check) for check in checks}
    async with pool.acquire() as connection, connection.transaction():
        news = await write_known_checks(connection, codes)
        if news:
            detail: dict[str, object] = {"checks": news}
            await journal.insert_entries(connection, SYSTEM, "checks", "*", [Entry(detail=detail)])
    names = [check.name for check in checks]
    missing = [check.name for check in await select_known_checks(pool) if check.name not in names]
    if missing:
        log.warning("checks that were installed once are missing; files wait for them", checks=missing)
    return names


def _codes(check: Installed) -> Mapping[str, Mapping[str, Any]]:
    return {code: {"what": told.what, "action": str(told.action)} for code, told in check.codes.items()}
