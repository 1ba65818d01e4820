"""Statements of the transaction that applies an upstream's page to a project.

Each is one statement for all files of a portion: each round trip is time that a client waits, and that other writers
wait for the lock on the project.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.advisories import ADVISORIES, read_advisories
from koschey.db.claims import IS_USED_NAME, read_used_names
from koschey.db.files import ADDED, NewFile, columns_of
from koschey.db.findings import CHECKS, read_checks
from koschey.db.leases import Lease
from koschey.db.news import IS_ESTRANGED
from koschey.db.outbox import MERGED
from koschey.db.outbox import columns_of as message_columns_of
from koschey.db.policies import policy_of
from koschey.db.pool import Connection, Database
from koschey.db.projects import COLUMNS, read_project
from koschey.db.rules import RULES, read_rules
from koschey.model import MAIN_INDEX, Advisory, FileId, Project, ProjectId, Sha256, UpstreamPage
from koschey.outbox import Message
from koschey.policy.verdict import Policy

# Each inner query has one condition, and so one index: while tables are small all plans cost the same, and PostgreSQL
# may keep one that walks through a whole partial index.
FACTS = f"""
    {RULES} AS rules, {CHECKS} AS checks, {ADVISORIES} AS advisories,
    (SELECT read_at FROM advisory_feed) AS feed_read_at,
    ARRAY(SELECT used.path
            FROM unnest($3::text[]) AS listed (path)
           CROSS JOIN LATERAL (SELECT path, set_aside_at FROM file WHERE file.path = listed.path OFFSET 0) AS used
           WHERE used.set_aside_at IS NULL) AS used_paths
"""  # noqa: S608
FILE_FACTS = f"""
    {IS_ESTRANGED} AS is_estranged,
    ARRAY(SELECT filename FROM file
           WHERE project_id = project.id AND filename = ANY($4::text[]) AND set_aside_at IS NULL) AS existing,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(file.filename, file.sha256) ORDER BY file.id), '[]')
       FROM file WHERE file.project_id = project.id AND file.filename = ANY($4::text[]) AND {IS_USED_NAME})
        AS used_names
"""  # noqa: S608
"""The facts that a new project cannot have."""
LOCK_PROJECT = f"SELECT koschey_now() AS now, {COLUMNS} FROM project WHERE name = $1 FOR UPDATE"  # noqa: S608
SELECT_FACTS = f"SELECT {FACTS}, {FILE_FACTS} FROM project WHERE project.name = $2"  # noqa: S608
# The advisories about the project count when its first files are judged.
INSERT_PROJECT = f"""
    WITH created AS (
        INSERT INTO project (name, display_name, origin) VALUES ($2, $2, 'mirrored')
        ON CONFLICT (name) DO NOTHING
        RETURNING *
    ), applied AS (
        UPDATE advisory SET pending = false WHERE project = $2 AND pending AND EXISTS (SELECT FROM created)
    )
    SELECT koschey_now() AS now, {COLUMNS}, {FACTS}, false AS is_estranged, '{{}}'::text[] AS existing,
           '[]'::jsonb AS used_names
      FROM created AS project
"""  # noqa: S608
WAKE = "(SELECT pg_notify('koschey_lease', key) FROM released)"
WRITE_PORTION = f"""
    WITH {ADDED}, message AS (
        INSERT INTO outbox (key, kind, payload)
        SELECT * FROM unnest($23::text[], $24::text[], $25::jsonb[])
        {MERGED}
        RETURNING id
    ), refreshed AS (
        UPDATE project
           SET looked_at = greatest(looked_at, $26::timestamptz),
               upstream_etag = $27, status = $28, status_reason = $29,
               recheck_at = least(absence_due_at, (SELECT min(file.absence_due_at) FROM file
                                                    WHERE file.project_id = $2 AND file.absent_since IS NOT NULL
                                                      AND file.absence_due_at IS NOT NULL))
         WHERE id = $2 AND $26::timestamptz IS NOT NULL
        RETURNING *
    ), released AS (DELETE FROM lease WHERE key = $30 AND holder = $31 RETURNING key)
    SELECT {COLUMNS}, ARRAY(SELECT id FROM added ORDER BY id) AS added,
           (SELECT pg_notify('koschey_outbox', '') WHERE EXISTS (SELECT FROM message)), {WAKE}
      FROM (SELECT) AS always LEFT JOIN refreshed ON true
"""  # noqa: S608
UPDATE_UNCHANGED = f"""
    WITH refreshed AS (
        UPDATE project SET looked_at = greatest(looked_at, $2) WHERE id = $1 RETURNING *
    ), released AS (DELETE FROM lease WHERE key = $3 AND holder = $4 RETURNING key)
    SELECT {COLUMNS}, {WAKE} FROM refreshed
"""  # noqa: S608


class Facts(NamedTuple):
    """What decides about the files of a portion, besides the page."""

    policy: Policy
    advisories: list[Advisory]
    """Those about the project that are not withdrawn."""
    feed_read_at: datetime | None
    is_estranged: bool
    """Whether the project returned from an absence, and no reviewer has approved or trusted it since."""
    existing: frozenset[str]
    """Those of the filenames that have a row."""
    used_paths: frozenset[str]
    """Those of the paths that already belong to a file."""
    used_names: dict[str, set[Sha256 | None]]
    """The digests that the filenames had while the project had another origin, if a client downloaded them."""


class LockedProject(NamedTuple):
    """A project that is locked against other writers until the transaction ends."""

    project: Project
    now: datetime


@dataclass(frozen=True, slots=True)
class Refresh:
    """The end of a refresh: what the upstream's page says of the project."""

    page: UpstreamPage
    read_at: datetime
    """When the page was requested."""
    lease: Lease | None
    """The lease under which it was requested, which the transaction releases."""


async def insert_project(
    connection: Connection, name: NormalizedName, paths: Sequence[str]
) -> tuple[LockedProject, Facts] | None:
    """Add a mirrored project, and return what decides about files with these public paths.

    Returns None if the name already exists, whatever its origin.
    """
    row = await connection.fetchrow(INSERT_PROJECT, MAIN_INDEX, name, list(paths))
    if row is None:
        return None
    project = read_project(row)
    return LockedProject(project, row["now"]), _read_facts(row, project)


async def lock_project(connection: Connection, name: NormalizedName) -> LockedProject | None:
    """Lock a project against other writers until the transaction ends, and return it."""
    row = await connection.fetchrow(LOCK_PROJECT, name)
    return LockedProject(read_project(row), row["now"]) if row else None


async def select_facts(
    connection: Connection, project: Project, filenames: Sequence[str], paths: Sequence[str]
) -> Facts:
    """Return what decides about files with these names and public paths."""
    row = await connection.fetchrow(SELECT_FACTS, MAIN_INDEX, project.name, list(paths), list(filenames))
    return _read_facts(row, project)


async def write_portion(
    connection: Connection,
    project: ProjectId,
    files: Sequence[NewFile],
    messages: Sequence[Message],
    refresh: Refresh | None = None,
) -> tuple[list[FileId], Project | None]:
    """Add files and messages, and record the refresh if it ends here.

    Returns the ids of the files in the same order, and the project if the refresh ends.
    """
    ended: tuple[Any, ...] = (None,) * 6
    if refresh is not None:
        page, lease = refresh.page, refresh.lease or (None, None)
        ended = (refresh.read_at, page.etag, page.status, page.status_reason, *lease)
    values = [*columns_of(project, files), *message_columns_of(messages), *ended]
    row = await connection.fetchrow(WRITE_PORTION, *values)
    return [FileId(number) for number in row["added"]], read_project(row) if row["id"] is not None else None


async def write_unchanged(db: Database, project: ProjectId, read_at: datetime, lease: Lease) -> Project:
    """Record that the upstream's page, requested at `read_at`, is unchanged, and release the lease."""
    return read_project(await db.fetchrow(UPDATE_UNCHANGED, project, read_at, *lease))


def _read_facts(row: Any, project: Project) -> Facts:
    return Facts(
        policy_of(project, read_rules(row["rules"]), read_checks(row["checks"])),
        read_advisories(row["advisories"]),
        row["feed_read_at"],
        row["is_estranged"],
        frozenset(row["existing"]),
        frozenset(row["used_paths"]),
        read_used_names(row["used_names"]),
    )
