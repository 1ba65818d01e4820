"""Statements on `pending_upload`: whose the objects are that an upload has put, or will put, before its rows are there.

One upload works with the same bytes at a time. METADATA is shared by the files of a release, so beginning with it and
deciding to delete it exclude each other by an advisory lock; the object itself is deleted after that transaction.
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
DELETE_KEPT = "DELETE FROM pending_upload WHERE sha256 = $1 AND holder = $2 AND NOT discarded RETURNING sha256"
DELETE_DISCARDED = "DELETE FROM pending_upload WHERE sha256 = $1 AND holder = $2 AND discarded"
SELECT_ABANDONED = """
    SELECT sha256, metadata, project, holder FROM pending_upload WHERE until < clock_timestamp() ORDER BY until LIMIT $1
"""
DISCARD_PENDING = """
    UPDATE pending_upload SET discarded = true, until = clock_timestamp() + $3 * interval '1 second'
     WHERE sha256 = $1 AND holder = $2 AND ($4 OR until < clock_timestamp())
    RETURNING sha256
"""
# What an archive or its metadata says of itself names its project, so no other project refers to them.
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
    """Which upload it is."""


class Use(NamedTuple):
    """What refers to the objects of an upload."""

    bytes: bool
    metadata: bool


async def insert_pending(connection: Connection, upload: PendingUpload, seconds: float) -> bool:
    """Begin with an upload; False while another one works with its bytes, or deletes its METADATA."""
    async with connection.transaction():
        await connection.execute(LOCK_METADATA, upload.metadata)
        return await connection.fetchval(INSERT_PENDING, *upload, seconds) is not None


async def renew_pending(db: Database, upload: PendingUpload, seconds: float) -> None:
    """Say that an upload is still under way."""
    await db.execute(RENEW_PENDING, upload.sha256, upload.holder, seconds)


async def delete_kept(connection: Connection, upload: PendingUpload) -> bool:
    """End an upload in the transaction that writes its rows; False where others have begun to discard it."""
    return await connection.fetchval(DELETE_KEPT, upload.sha256, upload.holder) is not None


async def delete_discarded(db: Database, upload: PendingUpload) -> None:
    """End an upload whose objects are deleted."""
    await db.execute(DELETE_DISCARDED, upload.sha256, upload.holder)


async def select_abandoned(db: Database, limit: int) -> list[PendingUpload]:
    """Return uploads whose process died, or could not delete their objects."""
    return [PendingUpload(*row) for row in await db.fetch(SELECT_ABANDONED, limit)]


async def discard_pending(
    connection: Connection, upload: PendingUpload, seconds: float, *, abandoned: bool
) -> Use | None:
    """Begin to discard an upload: keep others away for so long, and return what of it is in use.

    None where it has ended, or where `abandoned` says that it is another's, and it is under way again. The caller
    deletes what is not in use, and then the row.
    """
    async with connection.transaction():
        await connection.execute(LOCK_METADATA, upload.metadata)
        if await connection.fetchval(DISCARD_PENDING, upload.sha256, upload.holder, seconds, not abandoned) is None:
            return None
        row = await connection.fetchrow(SELECT_USE, upload.sha256, upload.metadata, upload.project)
        return Use(*row)
