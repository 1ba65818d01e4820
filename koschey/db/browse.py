"""Statements for lists that people read, a page at a time. They decide nothing and change nothing."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.fast_lane import by_release, select_fast_lane
from koschey.db.pool import Database
from koschey.db.rules import IS_ACTIVE
from koschey.model import MAIN_INDEX, AttestationVerdict, FileId, Serial, State
from koschey.policy.rules import RuleKind

# `state <> 'released'` is redundant, but lets the planner use the partial index on files that are not released.
SELECT_WAITING_RELEASES = """
    SELECT project.name AS project, file.version, standing.state, count(*) AS files,
           min(standing.release_at) AS release_at, min(file.first_seen_at) AS first_seen_at,
           array_agg(DISTINCT standing.reason ORDER BY standing.reason) AS reasons,
           min(fix.fixes) AS fixes, count(*) OVER () AS total
      FROM standing
      JOIN index ON index.id = standing.index_id
      JOIN file ON file.id = standing.file_id
      JOIN project ON project.id = file.project_id
      LEFT JOIN unnest($6::text[], $7::text[], $8::text[]) WITH ORDINALITY AS fix (project, version, fixes, place)
             ON fix.project = project.name AND fix.version = file.version
     WHERE index.name = $1 AND standing.state = ANY($2::text[]) AND standing.state <> 'released'
       AND ($3::text IS NULL OR project.name LIKE $3) AND file.set_aside_at IS NULL
     GROUP BY project.name, file.version, standing.state
     ORDER BY min(fix.place) NULLS LAST, min(standing.release_at) NULLS LAST, project.name, file.version, standing.state
     LIMIT $4 OFFSET $5
"""
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


class WaitingReleaseRow(NamedTuple):
    """The files of one release in the same state."""

    project: NormalizedName
    version: str
    state: State
    files: int
    release_at: datetime | None
    """When the window of the first of them ends; None if a reviewer must decide."""
    first_seen_at: datetime
    reasons: tuple[str, ...]
    fixes: str | None = None
    """The security fix that the release contains, and how often clients downloaded the affected versions."""


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


async def select_waiting_releases(
    db: Database, states: Iterable[State], name_part: str | None, *, limit: int, offset: int
) -> tuple[list[WaitingReleaseRow], int]:
    """Return a page of releases with files in these states, and how many there are in total.

    First come those that fix an advisory about versions which clients downloaded here, then those whose window ends
    first.
    """
    fixes = by_release(await select_fast_lane(db))
    fast = ([name for name, _ in fixes], [version for _, version in fixes], list(fixes.values()))
    part = _contains(name_part)
    rows = await db.fetch(SELECT_WAITING_RELEASES, MAIN_INDEX, list(states), part, limit, offset, *fast)
    return [_read_waiting(row) for row in rows], rows[0]["total"] if rows else 0


async def select_projects_like(db: Database, name_part: str, *, limit: int) -> list[NormalizedName]:
    """Return the names of known projects that contain this text, shortest first."""
    return [row["name"] for row in await db.fetch(SELECT_PROJECTS_LIKE, _contains(name_part), limit)]


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


def _read_waiting(row: Any) -> WaitingReleaseRow:
    return WaitingReleaseRow(
        row["project"],
        row["version"],
        State(row["state"]),
        row["files"],
        row["release_at"],
        row["first_seen_at"],
        tuple(row["reasons"]),
        row["fixes"],
    )


def _contains(text: str | None) -> str | None:
    """Return the LIKE pattern for "contains exactly this text"."""
    if not text:
        return None
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
