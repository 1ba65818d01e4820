"""Statements on `download`: who took which file, written down before the first byte leaves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database
from koschey.model import MAIN_INDEX, FileId

RECORD_DOWNLOADS = "SELECT record_downloads($1, $2, $3, $4, $5, $6)"
WAIT_FOR_DOWNLOADS = "SELECT pg_advisory_xact_lock(hashtextextended('koschey_download', 0))"
SELECT_DOWNLOADS = """
    SELECT download.id, download.at, file.version, file.filename, file.sha256, download.account, download.token,
           download.address, download.user_agent
      FROM download
      JOIN index ON index.id = download.index_id
      JOIN file ON file.id = download.file_id
      JOIN project ON project.id = file.project_id
     WHERE index.name = $1 AND project.name = $2 AND ($3::text IS NULL OR file.version = $3) AND download.id > $4
     ORDER BY download.id
     LIMIT $5
"""
SELECT_MIDNIGHT = "SELECT date_trunc('day', koschey_now() - $1::interval, 'UTC')"
# In the order of the ids, which is that of the times but for what was written down at once: it needs no index by time,
# which every download would pay for. After a portion, so that what is dead already is not walked through again.
DELETE_DOWNLOADS = """
    WITH oldest AS (
        SELECT id, at FROM download WHERE id > $2 ORDER BY id LIMIT $3
    ), gone AS (
        DELETE FROM download USING oldest WHERE download.id = oldest.id AND oldest.at < $1 RETURNING download.id
    )
    SELECT count(*) AS count, coalesce(max(id), $2) AS last FROM gone
"""

PORTION = 10_000
"""Rows that are read, or deleted, at a time."""


class NewDownload(NamedTuple):
    """A file that is about to be handed out, and to whom."""

    file: FileId
    account: str | None
    token: str | None
    """Its public id."""
    address: str | None
    user_agent: str | None


class Download(NamedTuple):
    """Who took a file, and when."""

    id: int
    at: datetime
    version: str
    filename: str
    sha256: str | None
    account: str | None
    token: str | None
    address: str | None
    user_agent: str | None


async def record_downloads(db: Database, downloads: Sequence[NewDownload]) -> set[FileId]:
    """Commit downloads, all at once. Returns the files; those that are missing were blocked or removed meanwhile."""
    columns = [list(column) for column in zip(*downloads, strict=True)]
    return {FileId(row[0]) for row in await db.fetch(RECORD_DOWNLOADS, MAIN_INDEX, *columns)}


async def select_downloads(
    db: Database, project: NormalizedName, version: str | None, *, after: int = 0, limit: int = PORTION
) -> list[Download]:
    """Return who took files of a release, or of the whole project, in the order in which it was written down.

    It waits for what is being written down: after a recall nobody is missing who got a byte.
    """
    await db.execute(WAIT_FOR_DOWNLOADS)
    return [Download(*row) for row in await db.fetch(SELECT_DOWNLOADS, MAIN_INDEX, project, version, after, limit)]


async def select_all_downloads(db: Database, project: NormalizedName, version: str | None) -> list[Download]:
    """Return all of them, however many there are."""
    found: list[Download] = []
    while portion := await select_downloads(db, project, version, after=found[-1].id if found else 0):
        found += portion
    return found


async def select_midnight(db: Database, age: timedelta) -> datetime:
    """Return the beginning, in UTC, of the day that was so long ago."""
    found: datetime = await db.fetchval(SELECT_MIDNIGHT, age)
    return found


async def delete_downloads(connection: Connection, until: datetime, after: int) -> tuple[int, int]:
    """Delete the next portion of what was written down before a time; returns how many, and the last of them."""
    row = await connection.fetchrow(DELETE_DOWNLOADS, until, after, PORTION)
    return row["count"], row["last"]
