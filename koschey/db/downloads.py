"""Statements on `download`: which client downloaded which file, recorded before the first byte is sent."""

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
# Rows are read in the order of their ids. This is the order of their times, but for rows that were written at once. So
# no index by time is needed, which every download would have to update. Each portion starts after the last one, so that
# PostgreSQL does not scan dead rows again.
DELETE_DOWNLOADS = """
    WITH oldest AS (
        SELECT id, at FROM download WHERE id > $2 ORDER BY id LIMIT $3
    ), gone AS (
        DELETE FROM download USING oldest WHERE download.id = oldest.id AND oldest.at < $1 RETURNING download.id
    )
    SELECT count(*) AS count, coalesce(max(id), $2) AS last FROM gone
"""

PORTION = 10_000
"""Number of rows that are read or deleted at a time."""


class NewDownload(NamedTuple):
    """A file that is about to be sent, and the client that requested it."""

    file: FileId
    account: str | None
    token: str | None
    """The public id of the token."""
    address: str | None
    user_agent: str | None


class Download(NamedTuple):
    """A download: the client, the file and the time."""

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
    """Record downloads, all at once. Returns their files, without those that were blocked or removed meanwhile."""
    columns = [list(column) for column in zip(*downloads, strict=True)]
    return {FileId(row[0]) for row in await db.fetch(RECORD_DOWNLOADS, MAIN_INDEX, *columns)}


async def select_downloads(
    db: Database, project: NormalizedName, version: str | None, *, after: int = 0, limit: int = PORTION
) -> list[Download]:
    """Return the downloads of a release, or of the whole project, in the order in which they were recorded.

    Waits for downloads that are being recorded: after a recall, no client that received a byte is missing.
    """
    await db.execute(WAIT_FOR_DOWNLOADS)
    return [Download(*row) for row in await db.fetch(SELECT_DOWNLOADS, MAIN_INDEX, project, version, after, limit)]


async def select_all_downloads(db: Database, project: NormalizedName, version: str | None) -> list[Download]:
    """Return all downloads of a release, or of the whole project, however many there are."""
    found: list[Download] = []
    while portion := await select_downloads(db, project, version, after=found[-1].id if found else 0):
        found += portion
    return found


async def select_midnight(db: Database, age: timedelta) -> datetime:
    """Return the beginning, in UTC, of the day that was `age` ago."""
    found: datetime = await db.fetchval(SELECT_MIDNIGHT, age)
    return found


async def delete_downloads(connection: Connection, until: datetime, after: int) -> tuple[int, int]:
    """Delete the next portion of downloads before `until` with ids after `after`. Returns their number and last id."""
    row = await connection.fetchrow(DELETE_DOWNLOADS, until, after, PORTION)
    return row["count"], row["last"]
