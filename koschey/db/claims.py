"""Statements on names that move to another origin: the project, its files, and all downloads of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.causes import Grounds
from koschey.db.pool import Connection, Database
from koschey.db.standings import cause_columns, update_states
from koschey.model import MAIN_INDEX, Actor, FileId, Origin, ProjectId, Sha256, State

INSERT_ORIGIN_CHANGE = """
    INSERT INTO origin_change
        (project_id, origin, actor, door, reason, files, downloaded_files, downloads, machines)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
# The project loses what its former origin said of it. Until the upstream's page has been read, the upstream counts as
# never refreshed.
UPDATE_ORIGIN = """
    UPDATE project SET origin = $2, status = 'active', status_reason = NULL, upstream_etag = NULL, looked_at = NULL,
                       summary = NULL, absent_since = NULL, absence_looks = 0, absence_due_at = NULL, recheck_at = NULL,
                       left_out = 0, display_name = name
     WHERE id = $1
"""
DELETE_LEFT_OUT = "DELETE FROM left_out_file WHERE project_id = $1"
IS_HANDED_OVER = "SELECT EXISTS (SELECT FROM origin_change WHERE project_id = $1)"
SET_ASIDE = """
    UPDATE standing SET state_before = state, withdrawn_at = NULL, changed_at = koschey_now()
      FROM index
     WHERE index.name = $1 AND standing.index_id = index.id AND standing.file_id = ANY($2::bigint[])
    RETURNING standing.file_id, standing.state
"""
MARK_ASIDE = "UPDATE file SET set_aside_at = koschey_now() WHERE id = ANY($1::bigint[])"
SELECT_ASIDE = """
    SELECT file.id, file.version, file.filename, file.sha256, file.path, standing.state_before
      FROM file
      JOIN index ON index.name = $1
      JOIN standing ON standing.index_id = index.id AND standing.file_id = file.id
     WHERE file.project_id = $2 AND file.set_aside_at IS NOT NULL
       AND (file.upstream_url IS NOT NULL) = ($3 = 'mirrored')
     ORDER BY file.id
       FOR UPDATE OF standing
"""
UNMARK_ASIDE = "UPDATE file SET set_aside_at = NULL WHERE id = ANY($1::bigint[])"
# The window that a file had continues.
RESTORE_FILES = """
    UPDATE standing SET state = 'held', reason = $3, changed_at = koschey_now(), state_before = NULL,
                        cause = $4, cause_subject = $5, cause_scope = $6, cause_version = $7,
                        cause_transaction = pg_current_xact_id()
      FROM index
     WHERE index.name = $1 AND standing.index_id = index.id AND standing.file_id = ANY($2::bigint[])
       AND standing.state = 'blocked'
"""
SELECT_DOWNLOADED = """
    WITH taken AS (
        SELECT download.file_id, coalesce(download.account, '') AS account, count(*) AS downloads, 0 AS forgotten,
               min(download.at) AS first_at, max(download.at) AS last_at
          FROM download JOIN file ON file.id = download.file_id
         WHERE file.project_id = $1
         GROUP BY download.file_id, coalesce(download.account, '')
        UNION ALL
        SELECT gone.file_id, gone.account, gone.downloads, gone.downloads, gone.first_at, gone.last_at
          FROM forgotten_download AS gone JOIN file ON file.id = gone.file_id
         WHERE file.project_id = $1
    )
    SELECT file.id, file.version, file.filename, file.sha256, sum(taken.downloads)::bigint AS downloads,
           sum(taken.forgotten)::bigint AS forgotten, min(taken.first_at) AS first_at, max(taken.last_at) AS last_at,
           array_agg(DISTINCT nullif(taken.account, '')) AS accounts
      FROM taken JOIN file ON file.id = taken.file_id
     GROUP BY file.id
     ORDER BY file.id
"""
IS_USED_NAME = """
    file.set_aside_at IS NOT NULL
    AND (EXISTS (SELECT FROM download WHERE download.file_id = file.id)
         OR EXISTS (SELECT FROM forgotten_download AS gone WHERE gone.file_id = file.id))
"""
"""Condition that a client downloaded a file while its project had another origin."""
SELECT_USED_NAMES = f"""
    SELECT file.filename, file.sha256
      FROM file JOIN project ON project.id = file.project_id
     WHERE project.name = $1 AND file.filename = ANY($2::text[]) AND {IS_USED_NAME}
     ORDER BY file.id
"""  # noqa: S608
DELETE_MESSAGES = """
    DELETE FROM outbox
     WHERE key = 'metadata_wanted/' || $1::text OR key = ANY($2::text[])
        OR starts_with(key, 'provenance_wanted/' || $1::text || '/')
"""
SELECT_MIRRORED_COVERED = """
    WITH first AS MATERIALIZED (
        SELECT id, name, count(*) OVER () AS total
          FROM projects_in_scope($1) WHERE origin = 'mirrored'
         ORDER BY name
         LIMIT $2
    )
    SELECT first.name, counted.files, counted.downloaded, first.total
      FROM first
     CROSS JOIN LATERAL (
        SELECT count(*) AS files,
               count(*) FILTER (WHERE EXISTS (SELECT FROM download WHERE download.file_id = file.id)
                                   OR EXISTS (SELECT FROM forgotten_download AS gone WHERE gone.file_id = file.id))
                   AS downloaded
          FROM file
         WHERE file.project_id = first.id AND file.set_aside_at IS NULL
     ) AS counted
     ORDER BY first.name
"""


class DownloadSummary(NamedTuple):
    """A file that was downloaded, even if the log no longer has its downloads."""

    file: FileId
    version: str
    filename: str
    sha256: Sha256 | None
    downloads: int
    forgotten: int
    """How many of these downloads the log no longer has, nor their addresses."""
    first_at: datetime
    last_at: datetime
    accounts: list[str | None]
    """The accounts that ever downloaded it; None means clients without a login."""


class SetAsideFile(NamedTuple):
    """A file that is set aside."""

    file: FileId
    version: str
    filename: str
    sha256: Sha256 | None
    path: str | None
    state_before: State


class MirroredName(NamedTuple):
    """A mirrored project whose name a reservation would cover."""

    name: NormalizedName
    files: int
    downloaded: int
    """How many of the files were ever downloaded."""


async def insert_origin_change(
    connection: Connection,
    project: ProjectId,
    origin: Origin,
    actor: Actor,
    reason: str,
    counts: tuple[int, int, int, int],
) -> None:
    """Record who moves a name to another origin, with the files, downloaded files, downloads and machines until now.

    PostgreSQL accepts `update_origin` only with this row in the same transaction.
    """
    await connection.execute(INSERT_ORIGIN_CHANGE, project, origin, actor.name, actor.door, reason, *counts)


async def update_origin(connection: Connection, project: ProjectId, origin: Origin) -> None:
    """Move a project to its other origin."""
    await connection.execute(UPDATE_ORIGIN, project, origin)
    await connection.execute(DELETE_LEFT_OUT, project)


async def is_handed_over(db: Database, project: ProjectId) -> bool:
    """Return whether a project ever had another origin."""
    return bool(await db.fetchval(IS_HANDED_OVER, project))


async def set_aside(connection: Connection, files: Sequence[FileId], grounds: Grounds) -> None:
    """Block files until their project returns to their origin. Each row keeps the file's former state."""
    rows = await connection.fetch(SET_ASIDE, MAIN_INDEX, list(files))
    open_files = [row["file_id"] for row in rows if row["state"] not in (State.BLOCKED, State.REMOVED)]
    await update_states(connection, open_files, State.BLOCKED, grounds)
    await connection.execute(MARK_ASIDE, list(files))


async def select_aside(connection: Connection, project: ProjectId, origin: Origin) -> list[SetAsideFile]:
    """Lock the files of an origin that are set aside, and return them, the oldest first."""
    rows = [SetAsideFile(*row) for row in await connection.fetch(SELECT_ASIDE, MAIN_INDEX, project, origin)]
    return [row._replace(state_before=State(row.state_before)) for row in rows]


async def restore_files(
    connection: Connection, files: Sequence[FileId], held: Sequence[FileId], grounds: Grounds
) -> None:
    """Return files to their project. Those in `held` become held; the others keep their state."""
    await connection.execute(RESTORE_FILES, MAIN_INDEX, list(held), grounds.reason, *cause_columns(grounds.cause))
    await connection.execute(UNMARK_ASIDE, list(files))


async def select_downloaded(db: Database, project: ProjectId) -> list[DownloadSummary]:
    """Return every file of a project that was ever downloaded, in the order in which the files were first seen."""
    return [DownloadSummary(*row) for row in await db.fetch(SELECT_DOWNLOADED, project)]


async def select_used_names(
    db: Database, project: NormalizedName, filenames: Sequence[str]
) -> dict[str, set[Sha256 | None]]:
    """Return the digests that the filenames had while the project had another origin, if a client downloaded them."""
    return read_used_names(await db.fetch(SELECT_USED_NAMES, project, list(filenames)))


def read_used_names(pairs: Iterable[Any]) -> dict[str, set[Sha256 | None]]:
    """Turn pairs of a filename and a digest into the digests of each filename."""
    used: dict[str, set[Sha256 | None]] = {}
    for filename, sha256 in pairs:
        used.setdefault(filename, set()).add(sha256)
    return used


async def delete_messages(connection: Connection, project: NormalizedName, files: Sequence[FileId]) -> None:
    """Delete the messages that request metadata, provenance or files of a project from an upstream."""
    await connection.execute(DELETE_MESSAGES, project, [f"file_wanted/{file}" for file in files])


async def select_mirrored_covered(db: Database, pattern: str, limit: int) -> tuple[list[MirroredName], int]:
    """Return the first mirrored projects that a pattern covers, and how many there are."""
    rows = await db.fetch(SELECT_MIRRORED_COVERED, pattern, limit)
    return [MirroredName(*tuple(row)[:3]) for row in rows], rows[0]["total"] if rows else 0
