"""Statements on checks and their results: `known_check`, `check_run`, `finding`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from koschey.db.pool import Connection, Database
from koschey.model import FileId
from koschey.policy.findings import CheckFault, Evidence, Finding, FindingAction, KnownCheck, Severity

SELECT_KNOWN_CHECKS = "SELECT name, codes FROM known_check ORDER BY name"
CHECKS = """
    (SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'codes', codes) ORDER BY name), '[]') FROM known_check)
"""
"""The same as one value, for `read_checks`."""
# Runs come before findings, and the worst findings first.
SELECT_EVIDENCE = """
    SELECT check_run.file_id, check_run.name, check_run.fault,
           NULL AS code, NULL AS severity, NULL AS summary, NULL::jsonb AS evidence, 0 AS place, NULL::bigint AS id
      FROM check_run JOIN file ON file.id = check_run.file_id AND file.sha256 = check_run.sha256
     WHERE check_run.file_id = ANY($1::bigint[])
     UNION ALL
    SELECT finding.file_id, finding.name, NULL, finding.code, finding.severity, finding.summary, finding.evidence,
           array_position(ARRAY['serious', 'warning', 'info'], finding.severity), finding.id
      FROM finding WHERE finding.file_id = ANY($1::bigint[])
     ORDER BY place, id, name
"""
UPSERT_RUNS = """
    INSERT INTO check_run (file_id, name, at, sha256, fault)
    SELECT file.id, run.name, $1, file.sha256, run.fault
      FROM unnest($2::bigint[], $3::text[], $4::text[]) AS run (file_id, name, fault)
      JOIN file ON file.id = run.file_id AND file.sha256 IS NOT NULL
    ON CONFLICT (file_id, name)
    DO UPDATE SET sha256 = excluded.sha256, fault = excluded.fault, tries = check_run.tries + 1, at = excluded.at
"""
DELETE_FINDINGS = """
    DELETE FROM finding USING unnest($1::bigint[], $2::text[]) AS run (file_id, name)
     WHERE finding.file_id = run.file_id AND finding.name = run.name
"""
# An unchanged check is not written again.
UPSERT_KNOWN_CHECK = """
    INSERT INTO known_check (name, codes) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET codes = excluded.codes, installed_at = koschey_now()
     WHERE known_check.codes IS DISTINCT FROM excluded.codes
"""
INSERT_FINDINGS = """
    INSERT INTO finding (name, file_id, code, severity, summary, evidence)
    SELECT row.name, row.file_id, row.code, row.severity, row.summary, row.evidence
      FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
           WITH ORDINALITY AS row (name, file_id, code, severity, summary, evidence, place)
     ORDER BY row.place
"""


@dataclass(frozen=True, slots=True)
class CheckRun:
    """The result of one check of one file."""

    file: FileId
    check: str
    findings: tuple[Finding, ...] = ()
    fault: str | None = None
    """Why the check failed; None if it completed."""


async def select_known_checks(db: Database) -> tuple[KnownCheck, ...]:
    """Return every check that a worker has registered."""
    return read_checks(await db.fetch(SELECT_KNOWN_CHECKS))


def read_checks(rows: Iterable[Any]) -> tuple[KnownCheck, ...]:
    """Turn rows of `known_check`, or a value of `CHECKS`, into checks."""
    return tuple(
        KnownCheck(row["name"], {code: FindingAction(declared["action"]) for code, declared in row["codes"].items()})
        for row in rows
    )


async def write_known_checks(connection: Connection, checks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Register a worker's checks, `{name: {code: {"what": ..., "action": ...}}}`; returns the new or changed names.

    A check stays registered when no worker has it any more: only the policy switches it off.
    """
    done = {name: await connection.execute(UPSERT_KNOWN_CHECK, name, codes) for name, codes in checks.items()}
    return [name for name, status in done.items() if status != "INSERT 0 0"]


async def select_evidence(db: Database, files: Sequence[FileId]) -> Mapping[FileId, Evidence]:
    """Return the evidence of each file, even if it is empty."""
    runs, findings = defaultdict(list), defaultdict(list)
    for row in await db.fetch(SELECT_EVIDENCE, files):
        if row["code"] is None:
            runs[row["file_id"]].append((row["name"], row["fault"]))
        else:
            found = Finding(row["code"], Severity(row["severity"]), row["summary"], row["evidence"], row["name"])
            findings[row["file_id"]].append(found)
    return {
        file: Evidence(
            frozenset(name for name, fault in runs[file] if fault is None),
            tuple(CheckFault(name, fault) for name, fault in runs[file] if fault is not None),
            tuple(findings[file]),
        )
        for file in files
    }


async def write_runs(
    connection: Connection, began_at: datetime, runs: Sequence[CheckRun], *, replaces: bool = True
) -> None:
    """Record that checks ran on files, or why they failed, and their findings, in place of their last runs.

    `began_at` is a time before a check read anything: it may not have seen later facts. Without `replaces`, the last
    runs had no findings.
    """
    files, names = [run.file for run in runs], [run.check for run in runs]
    await connection.execute(UPSERT_RUNS, began_at, files, names, [run.fault for run in runs])
    if replaces:
        await connection.execute(DELETE_FINDINGS, files, names)
    found = [(run, finding) for run in runs for finding in run.findings]
    if found:
        await connection.execute(
            INSERT_FINDINGS,
            [run.check for run, _ in found],
            [run.file for run, _ in found],
            [finding.code for _, finding in found],
            [finding.severity for _, finding in found],
            [finding.summary for _, finding in found],
            [finding.evidence for _, finding in found],
        )
