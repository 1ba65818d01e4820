"""Records the outcomes of checks: rows for all of them, and the journal and alerts for what is new.

A run without a fault and without a finding is a row of `check_run` only, because nobody needs it in the journal.
Findings and faults are in the journal too, once as long as they stay the same. A serious finding also raises an alert,
once for each release.
"""

from collections.abc import Sequence
from datetime import datetime

from koschey.db import projects
from koschey.db.checking import select_alerted_codes
from koschey.db.findings import CheckRun, select_evidence, write_runs
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Pool
from koschey.db.record import Record
from koschey.events import AlertKind, Event
from koschey.model import SYSTEM, StandingFile
from koschey.policy.findings import Evidence, Finding, Severity

type FileRun = tuple[StandingFile, CheckRun]
"""A file, and the run of one check of it."""


async def record_runs(pool: Pool, began_at: datetime, runs: Sequence[FileRun]) -> None:
    """Record runs of checks on files of one release, in one transaction.

    `began_at` is a time before the checks read anything. There must be at least one run.
    """
    project = runs[0][0].file.project
    async with pool.acquire() as connection, connection.transaction():
        await projects.lock_project(connection, project)
        before = await select_evidence(connection, sorted({run.file for _, run in runs}))
        were = {(file, finding.check) for file, evidence in before.items() for finding in evidence.findings}
        replaces = any((run.file, run.check) in were for _, run in runs)
        await write_runs(connection, began_at, [run for _, run in runs], replaces=replaces)
        news = [
            (item, run)
            for item, run in runs
            if _outcome(run.findings, run.fault) != _recorded_outcome(before[run.file], run.check)
        ]
        if news:
            await _record_news(connection, news)


async def _record_news(connection: Connection, news: Sequence[FileRun]) -> None:
    """Write the journal, and alert people once of each serious code."""
    project, version = news[0][0].file.project, news[0][0].file.version
    record, alerted = Record(connection, SYSTEM, project), await select_alerted_codes(connection, project, version)
    for item, run in news:
        file, codes = item.file, sorted({finding.code for finding in run.findings})
        detail: dict[str, object] = {"check": run.check, "codes": codes, "fault": run.fault}
        record.add(Event.CHECK, [Entry(file.version, file.filename, detail)])
        for finding in run.findings:
            if finding.severity is Severity.SERIOUS and (run.check, finding.code) not in alerted:
                alerted.add((run.check, finding.code))
                said: dict[str, object] = {"check": run.check, "code": finding.code, "summary": finding.summary}
                record.alert(AlertKind.FINDING, [Entry(file.version, file.filename, said)])
    await record.write()


def _outcome(findings: Sequence[Finding], fault: str | None) -> tuple[list[tuple[str, str]], str | None]:
    return sorted((finding.code, finding.summary) for finding in findings), fault


def _recorded_outcome(known: Evidence, check: str) -> tuple[list[tuple[str, str]], str | None]:
    findings = [finding for finding in known.findings if finding.check == check]
    return _outcome(findings, next((fault.cause for fault in known.faults if fault.check == check), None))
