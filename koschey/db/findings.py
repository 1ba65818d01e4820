"""Statements on what checks say of files: `known_check`, `check_run`, `finding`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from koschey.db.pool import Connection, Database
from koschey.model import FileId
from koschey.policy.findings import CheckFault, Evidence, Finding, FindingAction, KnownCheck, Severity

SELECT_KNOWN_CHECKS = "SELECT name, codes FROM known_check ORDER BY name"
SELECT_RUNS = """
    SELECT check_run.file_id, check_run.name, check_run.fault
      FROM check_run JOIN file ON file.id = check_run.file_id AND file.sha256 = check_run.sha256
     WHERE check_run.file_id = ANY($1::bigint[])
     ORDER BY check_run.name
"""
SELECT_FINDINGS = """
    SELECT finding.file_id, finding.name, finding.code, finding.severity, finding.summary, finding.evidence
      FROM finding WHERE finding.file_id = ANY($1::bigint[])
     ORDER BY array_position(ARRAY['serious', 'warning', 'info'], finding.severity), finding.id
"""
UPSERT_RUN = """
    INSERT INTO check_run (file_id, name, sha256, fault)
    SELECT id, $2, sha256, $3 FROM file WHERE id = $1 AND sha256 IS NOT NULL
    ON CONFLICT (file_id, name)
    DO UPDATE SET sha256 = excluded.sha256, fault = excluded.fault, tries = check_run.tries + 1, at = koschey_now()
"""
DELETE_FINDINGS = "DELETE FROM finding WHERE file_id = $1 AND name = $2"
# The same again is no change.
UPSERT_KNOWN_CHECK = """
    INSERT INTO known_check (name, codes) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET codes = excluded.codes, installed_at = koschey_now()
     WHERE known_check.codes IS DISTINCT FROM excluded.codes
"""
INSERT_FINDINGS = """
    INSERT INTO finding (file_id, name, code, severity, summary, evidence)
    SELECT $1, $2, row.code, row.severity, row.summary, row.evidence
      FROM unnest($3::text[], $4::text[], $5::text[], $6::jsonb[]) AS row (code, severity, summary, evidence)
"""


async def select_known_checks(db: Database) -> tuple[KnownCheck, ...]:
    """Return every check that some worker has brought."""
    return tuple(
        KnownCheck(row["name"], {code: FindingAction(told["action"]) for code, told in row["codes"].items()})
        for row in await db.fetch(SELECT_KNOWN_CHECKS)
    )


async def write_known_checks(connection: Connection, checks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Keep what checks a worker brings, `{name: {code: {"what": ..., "action": ...}}}`; returns which were news.

    One that is not brought any more stays: policy alone switches it off.
    """
    done = {name: await connection.execute(UPSERT_KNOWN_CHECK, name, codes) for name, codes in checks.items()}
    return [name for name, status in done.items() if status != "INSERT 0 0"]


async def select_evidence(db: Database, files: Sequence[FileId]) -> Mapping[FileId, Evidence]:
    """Return what checks say of files; of each one, even where that is nothing."""
    runs, findings = defaultdict(list), defaultdict(list)
    for row in await db.fetch(SELECT_RUNS, files):
        runs[row["file_id"]].append((row["name"], row["fault"]))
    for row in await db.fetch(SELECT_FINDINGS, files):
        severity = Severity(row["severity"])
        findings[row["file_id"]].append(Finding(row["code"], severity, row["summary"], row["evidence"], row["name"]))
    return {
        file: Evidence(
            frozenset(name for name, fault in runs[file] if fault is None),
            tuple(CheckFault(name, fault) for name, fault in runs[file] if fault is not None),
            tuple(findings[file]),
        )
        for file in files
    }


async def write_run(
    connection: Connection, file: FileId, check: str, findings: Sequence[Finding], fault: str | None
) -> None:
    """Record that a check looked at a file, or why it could not, and what it found, in place of its last try."""
    await connection.execute(UPSERT_RUN, file, check, fault)
    await connection.execute(DELETE_FINDINGS, file, check)
    await connection.execute(
        INSERT_FINDINGS,
        file,
        check,
        [finding.code for finding in findings],
        [finding.severity for finding in findings],
        [finding.summary for finding in findings],
        [finding.evidence for finding in findings],
    )
