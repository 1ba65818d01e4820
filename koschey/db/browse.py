"""Statements for lists that people read, a page at a time. They decide nothing and change nothing."""

from datetime import datetime
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Database
from koschey.db.rules import IS_ACTIVE
from koschey.db.search import contains
from koschey.model import MAIN_INDEX, AttestationVerdict, FileId, Serial
from koschey.policy.rules import RuleKind

SELECT_PROJECTS_LIKE = "SELECT name FROM project WHERE name LIKE $1 ORDER BY length(name), name LIMIT $2"
SELECT_ACTIVE_RULES = f"""
    SELECT rule.kind, rule.version, rule.reason, rule.actor, rule.at, rule.project AS scope, rule.subject, rule.value,
           rule.expires_at, rule.ticket
      FROM rule JOIN index ON index.id = rule.index_id
     WHERE index.name = $1 AND {IS_ACTIVE}
       AND in_scope(rule.project, $2, coalesce((SELECT origin FROM project WHERE name = $2), 'mirrored'))
     ORDER BY rule.at DESC, rule.kind, rule.project, rule.version, rule.subject
"""  # noqa: S608
SELECT_ORIGINS = """
    SELECT provenance.file_id, provenance.record::jsonb ->> 'url' AS url
      FROM provenance
      JOIN file ON file.id = provenance.file_id
      JOIN project ON project.id = file.project_id
     WHERE project.name = $1
"""
SELECT_ATTESTATIONS = """
    SELECT attestation.file_id, attestation.verdict, attestation.detail, attestation.checked_at
      FROM attestation
      JOIN file ON file.id = attestation.file_id
      JOIN project ON project.id = file.project_id
     WHERE project.name = $1
"""
SELECT_JOURNAL = """
    SELECT serial, at, actor, door, action, project, version, filename, detail FROM journal
     WHERE ($1::bigint IS NULL OR serial < $1)
     ORDER BY serial DESC
     LIMIT $2
"""
SELECT_JOURNAL_AFTER = """
    SELECT serial, at, actor, door, action, project, version, filename, detail FROM journal
     WHERE serial > $1
     ORDER BY serial
     LIMIT $2
"""
# A separate statement, so that PostgreSQL always uses the index on (project, serial).
SELECT_PROJECT_JOURNAL = """
    SELECT serial, at, actor, door, action, project, version, filename, detail FROM journal
     WHERE project = $1
     ORDER BY serial DESC
     LIMIT $2
"""


class ActiveRule(NamedTuple):
    """An active rule, its author, and when it was made."""

    kind: RuleKind
    version: str | None
    """None: every version, including future ones."""
    reason: str
    actor: str
    at: datetime
    scope: str
    subject: str
    value: str
    expires_at: datetime | None
    ticket: str | None


class CheckedAttestation(NamedTuple):
    """The result of the verification of a provenance object, and when it was verified."""

    verdict: AttestationVerdict
    detail: str
    checked_at: datetime


class JournalRow(NamedTuple):
    """One change: who made it, what changed, and why."""

    serial: Serial
    at: datetime
    actor: str
    door: str
    action: str
    project: NormalizedName | None
    version: str | None
    filename: str | None
    detail: dict[str, Any]


async def select_projects_like(db: Database, name_part: str, *, limit: int) -> list[NormalizedName]:
    """Return the names of known projects that contain this text, shortest first."""
    return [row["name"] for row in await db.fetch(SELECT_PROJECTS_LIKE, contains(name_part), limit)]


async def select_active_rules(db: Database, project: NormalizedName) -> list[ActiveRule]:
    """Return the active rules about a project or one of its versions, the newest first."""
    rows = await db.fetch(SELECT_ACTIVE_RULES, MAIN_INDEX, project)
    return [
        ActiveRule(**dict(row) | {"kind": RuleKind(row["kind"]), "version": row["version"] or None}) for row in rows
    ]


async def select_origins(db: Database, project: NormalizedName) -> dict[FileId, str]:
    """Return the URLs from which the stored files of a project were downloaded (PEP 710)."""
    return {row["file_id"]: row["url"] for row in await db.fetch(SELECT_ORIGINS, project)}


async def select_attestations(db: Database, project: NormalizedName) -> dict[FileId, CheckedAttestation]:
    """Return the results of verifying the provenance objects (PEP 740) of a project's files."""
    return {
        row["file_id"]: CheckedAttestation(AttestationVerdict(row["verdict"]), row["detail"], row["checked_at"])
        for row in await db.fetch(SELECT_ATTESTATIONS, project)
    }


async def select_journal(db: Database, before: Serial | None, *, limit: int) -> list[JournalRow]:
    """Return the changes before a serial, or the last ones if it is None, the newest first."""
    return [JournalRow(*row) for row in await db.fetch(SELECT_JOURNAL, before, limit)]


async def select_journal_after(db: Database, after: Serial, *, limit: int) -> list[JournalRow]:
    """Return the changes after a serial, the oldest first."""
    return [JournalRow(*row) for row in await db.fetch(SELECT_JOURNAL_AFTER, after, limit)]


async def select_project_journal(db: Database, project: NormalizedName, *, limit: int) -> list[JournalRow]:
    """Return the last changes of a project, the newest first."""
    return [JournalRow(*row) for row in await db.fetch(SELECT_PROJECT_JOURNAL, project, limit)]
