"""A file on its way from its upstream: what has arrived, readable by any number of clients while more arrives.

The bytes stand in an unnamed temporary file, so a process that is killed leaves nothing behind. Clients read all but
the last `HELD_BACK` bytes as they arrive, and the rest only after the row was committed.
"""

import asyncio
import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import IO

from koschey.errors import KoscheyError, UpstreamMalformed
from koschey.model import File
from koschey.storage.blobs import HELD_BACK
from koschey.storage.s3 import CHUNK, BlobWriter


class Fetch:
    """One file on its way: what has arrived, and how it ended."""

    def __init__(self, file: File, spool: Path | None) -> None:
        self.file = file
        self.total: int | None = file.size
        self.stored = False
        self.error: KoscheyError | None = None
        self.has_handed_out = False
        """Whether a client has received bytes before all were verified."""
        self._received = 0
        self._folder = spool
        self._spool = self._new_spool()
        self._readers = 0
        self._progress = asyncio.Event()

    async def started(self) -> None:
        """Wait until bytes may be sent: enough to be worth it, or the end. Raises what the fetch failed with."""
        await self._until(lambda: self.total is not None and self._readable > 0)

    async def finished(self) -> None:
        """Wait for the end. Raises what the fetch failed with."""
        await self._until(lambda: False)

    async def read(self, start: int, stop: int, size: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to `stop` as they become readable, of a file that has `size` bytes.

        Raises what the fetch failed with, and `UpstreamMalformed` where the file turns out to have another size: its
        client was promised so many bytes, and would take what comes for the whole.
        """
        self._readers += 1
        try:
            while start < stop:
                await self._until(lambda: self._readable > start)  # noqa: B023 - called before `start` changes
                if self.total != size:
                    raise UpstreamMalformed(f"{self.file.filename} has not the {size} bytes that were announced")
                end = min(stop, self._readable, start + CHUNK)
                chunk = await asyncio.to_thread(self._read_at, start, end)
                start += len(chunk)
                self.has_handed_out = self.has_handed_out or not self.stored
                yield chunk
        finally:
            self._readers -= 1
            self._close_spool()

    async def read_piece(self, start: int, stop: int) -> bytes:
        """Return bytes that have arrived."""
        return await asyncio.to_thread(self._read_at, start, stop)

    async def copy_to(self, writer: BlobWriter) -> None:
        """Give all that arrived to a blob's writer."""
        for start in range(0, self._received, CHUNK):
            stop = min(start + CHUNK, self._received)
            await writer.write(await asyncio.to_thread(self._read_at, start, stop))

    async def append(self, chunk: bytes) -> None:
        """Take bytes that arrived."""
        await asyncio.to_thread(_write_at, self._spool, self._received, chunk)
        self._received += len(chunk)
        self._wake()

    async def gunzip(self, limit: int) -> str | None:
        """Replace what has arrived by what it decompresses to, and return its SHA-256.

        Returns None and changes nothing where it is not gzip (RFC 1952), or has more than `limit` bytes then. Nobody
        may have read of it.
        """
        target = self._new_spool()
        try:
            digest, size = await asyncio.to_thread(_gunzip, self._spool, target, limit)
        except (gzip.BadGzipFile, EOFError, zlib.error, OverflowError):
            target.close()
            return None
        self._spool.close()
        self._spool, self._received = target, size
        return digest

    def succeed(self, file: File) -> None:
        """Tell the readers that the file is stored."""
        self.file, self.total, self.stored = file, file.size, True
        self._wake()
        self._close_spool()

    def fail(self, error: KoscheyError) -> None:
        """Tell the readers why the file is not stored. Nothing is awaited, so that nothing can come in between."""
        self.error = error
        self._wake()
        self._close_spool()

    @property
    def is_only_in_bucket(self) -> bool:
        """Whether the bytes are stored, and are not in the spool: it is gone, or was never filled."""
        return self.stored and (self._spool.closed or self._received != self.total)

    @property
    def received(self) -> int:
        """Bytes that have arrived."""
        return self._received

    @property
    def _ended(self) -> bool:
        return self.stored or self.error is not None

    @property
    def _readable(self) -> int:
        if self.stored:
            return self._received
        # Also of what has arrived: where the page's size is too large, these bytes may be the last.
        return max(0, min(self._received, self.total or 0) - HELD_BACK)

    async def _until(self, is_reached: Callable[[], bool]) -> None:
        """Wait for progress or for the end. Raises what the fetch failed with."""
        while not (self._ended or is_reached()):
            await self._progress.wait()
        if self.error:
            raise self.error

    def _wake(self) -> None:
        """Have all who wait look again; who waits from now on waits for the next progress."""
        self._progress.set()
        self._progress = asyncio.Event()

    def _close_spool(self) -> None:
        if self._ended and not self._readers:
            self._spool.close()

    def _new_spool(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._folder, buffering=0)

    def _read_at(self, start: int, stop: int) -> bytes:
        return os.pread(self._spool.fileno(), stop - start, start)


# By position, so that the writer and all readers share one open file.
def _write_at(spool: IO[bytes], offset: int, chunk: bytes) -> None:
    while chunk:
        written = os.pwrite(spool.fileno(), chunk, offset)
        offset, chunk = offset + written, chunk[written:]


def _gunzip(source: IO[bytes], target: IO[bytes], limit: int) -> tuple[str, int]:
    """Decompress a file into another; returns the SHA-256 and the size. Raises `OverflowError` above `limit`."""
    hasher, size = hashlib.sha256(), 0
    source.seek(0)
    with gzip.GzipFile(fileobj=source) as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise OverflowError
            hasher.update(chunk)
            _write_at(target, size - len(chunk), chunk)
    return hasher.hexdigest(), size
