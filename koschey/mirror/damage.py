"""Records, once, that the bucket has lost or altered the bytes of a file, and checks whether it has them again.

A damaged file counts as not stored, so no process serves it. A mirrored file is downloaded again like a file that was
never stored. A hosted file returns with the same upload, or when an operator restores the object in the bucket.
"""

import time
from dataclasses import dataclass, field

import structlog

from koschey.db import files
from koschey.db.damage import mark_damaged, mark_metadata_damaged, mark_repaired
from koschey.db.pool import LOST, Pool
from koschey.errors import Damaged, ObjectMissing
from koschey.model import Damage, File, FileId
from koschey.storage.blobs import is_whole
from koschey.storage.s3 import Bucket, blob_key

log = structlog.get_logger()

CHECK_AGAIN = 60.0
"""Minimum number of seconds between two reads of a whole damaged object."""
REMEMBERED = 10_000
"""Maximum number of files for which a process remembers such a read."""


async def report_damage(pool: Pool, file: File, error: Damaged) -> None:
    """Mark a stored file as damaged. Does not raise if PostgreSQL is away: the reader raises its own error."""
    log.error("a stored file is damaged", file=file.filename, sha256=file.sha256, error=str(error))
    try:
        async with pool.acquire() as connection:
            await mark_damaged(connection, file, damage_of(error))
    except LOST as lost:
        log.warning("the damage could not be recorded", file=file.filename, error=repr(lost))


async def report_metadata_damage(pool: Pool, file: File, error: Damaged) -> None:
    """Mark the stored METADATA or PKG-INFO of a file as damaged. Does not raise if PostgreSQL is away."""
    log.error("stored core metadata is damaged", file=file.filename, error=str(error))
    try:
        async with pool.acquire() as connection:
            await mark_metadata_damaged(connection, file, damage_of(error))
    except LOST as lost:
        log.warning("the damage could not be recorded", file=file.filename, error=repr(lost))


def damage_of(error: Damaged) -> Damage:
    """Return the kind of damage that an error reports."""
    return Damage.MISSING if isinstance(error, ObjectMissing) else Damage.ALTERED


def unrepaired(file: File, why: str | None = None) -> Damaged:
    """Return the error for a damaged file that is not repaired yet. Its message names the remedy."""
    assert file.sha256 is not None
    remedy = why or f"upload the same file again, or restore {blob_key(file.sha256)} in the bucket from a backup"
    return Damaged(f"the bucket has {_what_became(file.damage)} the bytes of {file.filename}; {remedy}")


def _what_became(damage: Damage | None) -> str:
    return "altered" if damage is Damage.ALTERED else "lost"


@dataclass(slots=True)
class Repairs:
    """Checks whether the bucket has the bytes of damaged files again. One per process."""

    pool: Pool
    bucket: Bucket
    _read_at: dict[FileId, float] = field(default_factory=dict)

    async def find_restored(self, file: File) -> File | None:
        """Return a damaged file as stored if the bucket has its bytes again, otherwise None. Reads all bytes."""
        assert file.sha256 is not None
        assert file.size is not None
        if await self.bucket.size_of(blob_key(file.sha256)) != file.size or not self._may_read(file):
            return None
        if not await is_whole(self.bucket, file.sha256, file.size):
            return None
        async with self.pool.acquire() as connection:
            await mark_repaired(connection, file)
        current = await files.select_file(self.pool, file.id)
        return current.file if current and current.file.stored_at else None

    def _may_read(self, file: File) -> bool:
        """Limit the work that clients can cause: an object of the right size is read at most once in `CHECK_AGAIN`."""
        now = time.monotonic()
        if now - self._read_at.get(file.id, -CHECK_AGAIN) < CHECK_AGAIN:
            return False
        if len(self._read_at) >= REMEMBERED:
            self._read_at.clear()
        self._read_at[file.id] = now
        return True
