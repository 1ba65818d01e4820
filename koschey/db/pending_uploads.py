"""Statements on `pending_upload`: uploads whose objects are in the bucket, or will be, before their rows are written.

Only one upload at a time works with the same bytes. Files of a release may share one METADATA object. So an advisory
lock keeps one upload from starting to use it while another decides to delete it; the object itself is deleted after
that transaction.
"""

from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database
from koschey.model import Sha256

LOCK_METADATA = "SELECT pg_advisory_xact_lock(hashtextextended('koschey_metadata ' || $1::text, 0))"
INSERT_PENDING = """
    INSERT INTO pending_upload (sha256, metadata, project, holder, until)
    SELECT $1, $2, $3, $4, clock_timestamp() + $5 * interval '1 second'
     WHERE NOT EXISTS (SELECT FROM pending_upload WHERE metadata = $2 AND discarded)
    ON CONFLICT (sha256) DO UPDATE SET holder = excluded.holder, until = excluded.until
                         WHERE pending_upload.until < clock_timestamp() AND NOT pending_upload.discarded
    RETURNING sha256
"""
RENEW_PENDING = """
    UPDATE pending_upload SET until = clock_timestamp() + $3 * interval '1 second'
     WHERE sha256 = $1 AND holder = $2 AND NOT discarded
"""
DELETE_COMPLETED = "DELETE FROM pending_upload WHERE sha256 = $1 AND holder = $2 AND NOT discarded RETURNING sha256"
DELETE_DISCARDED = "DELETE FROM pending_upload WHERE sha256 = $1 AND holder = $2 AND discarded"
SELECT_ABANDONED = """
    SELECT sha256, metadata, project, holder FROM pending_upload WHERE until < clock_timestamp() ORDER BY until LIMIT $1
"""
DISCARD_PENDING = """
    UPDATE pending_upload SET discarded = true, until = clock_timestamp() + $3 * interval '1 second'
     WHERE sha256 = $1 AND holder = $2 AND ($4 OR until < clock_timestamp())
    RETURNING sha256
"""
# An archive and its metadata contain the name of their project, so no other project refers to them.
SELECT_USE = """
    SELECT EXISTS (SELECT FROM file JOIN project ON project.id = file.project_id
                    WHERE project.name = $3 AND file.sha256 = $1),
           EXISTS (SELECT FROM file JOIN project ON project.id = file.project_id
                    WHERE project.name = $3 AND $2 IN (file.core_metadata, file.pkg_info))
           OR EXISTS (SELECT FROM pending_upload WHERE metadata = $2 AND sha256 <> $1 AND NOT discarded)
"""


class PendingUpload(NamedTuple):
    """An upload whose objects may be in the bucket without a row that refers to them."""

    sha256: Sha256
    metadata: Sha256
    """Digest of METADATA or PKG-INFO."""
    project: NormalizedName
    holder: str
    """Identifies the upload."""


class Use(NamedTuple):
    """Whether other rows refer to the objects of an upload."""

    bytes: bool
    metadata: bool


async def insert_pending(connection: Connection, upload: PendingUpload, seconds: float) -> bool:
    """Begin an upload. Returns False while another one works with its bytes, or deletes its METADATA."""
    async with connection.transaction():
        await connection.execute(LOCK_METADATA, upload.metadata)
        return await connection.fetchval(INSERT_PENDING, *upload, seconds) is not None


async def renew_pending(db: Database, upload: PendingUpload, seconds: float) -> None:
    """Extend the time of an upload that is still in progress."""
    await db.execute(RENEW_PENDING, upload.sha256, upload.holder, seconds)


async def delete_completed(connection: Connection, upload: PendingUpload) -> bool:
    """End an upload in the transaction that writes its rows. Returns False if another process began to discard it."""
    return await connection.fetchval(DELETE_COMPLETED, upload.sha256, upload.holder) is not None


async def delete_discarded(db: Database, upload: PendingUpload) -> None:
    """End a discarded upload after its objects were deleted."""
    await db.execute(DELETE_DISCARDED, upload.sha256, upload.holder)


async def select_abandoned(db: Database, limit: int) -> list[PendingUpload]:
    """Return uploads whose process died or could not delete their objects, at most `limit`."""
    return [PendingUpload(*row) for row in await db.fetch(SELECT_ABANDONED, limit)]


async def discard_pending(
    connection: Connection, upload: PendingUpload, seconds: float, *, abandoned: bool
) -> Use | None:
    """Begin to discard an upload: keep others away for `seconds`, and return which of its objects are in use.

    Returns None if it has ended. With `abandoned`, for the upload of another process, also None if that process has
    resumed it. The caller deletes the objects that are not in use, and then the row.
    """
    async with connection.transaction():
        await connection.execute(LOCK_METADATA, upload.metadata)
        if await connection.fetchval(DISCARD_PENDING, upload.sha256, upload.holder, seconds, not abandoned) is None:
            return None
        row = await connection.fetchrow(SELECT_USE, upload.sha256, upload.metadata, upload.project)
        return Use(*row)
