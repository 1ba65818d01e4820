"""Reads stored files for clients: from the shelf, or from the bucket, which then fills the shelf.

A whole file that the shelf lacks is read from the bucket once for all clients that wait, and they read it while it
arrives. A part of such a file is read from the bucket alone.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import structlog

from koschey.db.pool import Pool
from koschey.errors import Damaged, KoscheyError, StoreUnavailable
from koschey.mirror.damage import report_damage
from koschey.mirror.spool import Fetch
from koschey.model import File, Sha256
from koschey.storage.blobs import stream_blob
from koschey.storage.s3 import CHUNK, Bucket, blob_key
from koschey.storage.shelf import Shelf

log = structlog.get_logger()


class StoredFiles:
    """Reads stored files, and holds the copies in progress in this process. One per process."""

    def __init__(self, pool: Pool, bucket: Bucket, shelf: Shelf) -> None:
        self._pool = pool
        self._bucket = bucket
        self._shelf = shelf
        self._fills: dict[Sha256, Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, file: File, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to, but not including, `stop`.

        Raises `StoreUnavailable`, or, after the damage is recorded, `Damaged`.
        """
        try:
            async with aclosing(await self._open(file, start, stop)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except Damaged as error:
            await report_damage(self._pool, file, error)
            raise

    async def close(self) -> None:
        """Cancel all copies in progress."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _open(self, file: File, start: int, stop: int) -> AsyncGenerator[bytes]:
        assert file.sha256 is not None
        assert file.size is not None
        if copy := self._shelf.find(file.sha256, file.size):
            try:
                descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                pass  # it was removed just now
            else:
                return _read_copy(descriptor, copy, start, stop)
        # A part cannot be verified alone, because the digest is that of the whole. For a part, only the size of the
        # object is checked. Installers that read parts compare the digest of the whole before they install it.
        if (start, stop) != (0, file.size):
            return self._bucket.stream(blob_key(file.sha256), start, stop, file.size)
        if fill := self._join_or_fill(file, file.sha256, file.size):
            return fill.read(start, stop, file.size)
        return stream_blob(self._bucket, file.sha256, file.size)

    def _join_or_fill(self, file: File, digest: Sha256, size: int) -> Fetch | None:
        """Return this process's copy in progress, which starts if there is none; None if the shelf has no room."""
        if fill := self._fills.get(digest):
            return fill
        if not size or not self._shelf.has_room(size):
            return None
        try:
            fill = self._fills[digest] = Fetch(file, self._shelf.open_spool)
        except OSError as error:
            log.warning("no file can be put on the shelf", error=str(error))
            return None
        task = asyncio.create_task(self._fill(fill, digest, size))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return fill

    async def _fill(self, fill: Fetch, digest: Sha256, size: int) -> None:
        """Copy a blob. Its last bytes are read, and so sent to clients, only after its digest is verified."""
        try:
            async with aclosing(stream_blob(self._bucket, digest, size)) as chunks:
                async for chunk in chunks:
                    await fill.append([chunk])
            await asyncio.to_thread(self._shelf.put, fill.descriptor, digest, size)
            fill.succeed(fill.file)
        except BaseException as error:
            fill.fail(_client_error(fill.file, error))
            if not isinstance(error, Exception):
                raise
        finally:
            del self._fills[digest]


async def _read_copy(descriptor: int, copy: Path, start: int, stop: int) -> AsyncGenerator[bytes]:
    try:
        while start < stop:
            chunk = await asyncio.to_thread(os.pread, descriptor, min(CHUNK, stop - start), start)
            if not chunk:
                raise StoreUnavailable(f"the copy {copy} ends before byte {stop}; try again")
            start += len(chunk)
            yield chunk
    finally:
        os.close(descriptor)


def _client_error(file: File, error: BaseException) -> KoscheyError:
    if isinstance(error, KoscheyError):
        return error
    if isinstance(error, OSError):
        return StoreUnavailable(f"{file.filename} cannot be copied to the local disk (KOSCHEY_CACHE_DIR): {error}")
    return StoreUnavailable(f"this process is stopping, and {file.filename} was not read to its end; try again")
