"""A download from an upstream or the bucket in progress: any number of clients read what has arrived.

The bytes are in an unnamed temporary file, so a killed process leaves nothing behind. Clients read all but the last
`HELD_BACK` bytes as they arrive, and the rest only after the download has succeeded. If it comes from an upstream, the
row is committed by then.
"""

import asyncio
import gzip
import hashlib
import os
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import IO

from koschey.errors import KoscheyError, UpstreamMalformed
from koschey.model import File
from koschey.storage.blobs import HELD_BACK
from koschey.storage.s3 import CHUNK, BlobWriter

AT_ONCE = 512
"""Maximum number of chunks in one call of `pwritev`; the system allows at least 1,024."""


class Fetch:
    """One download: the bytes that have arrived, and its result."""

    def __init__(self, file: File, new_spool: Callable[[], IO[bytes]]) -> None:
        self.file = file
        self.total: int | None = file.size
        self.stored = False
        self.error: KoscheyError | None = None
        self.is_requested = False
        """Whether a client waits for it, and not only the worker."""
        self.has_sent_bytes = False
        """Whether a client has received bytes before the whole file was verified."""
        self._received = 0
        self._new_spool = new_spool
        self._spool = new_spool()
        self._readers = 0
        self._progress = asyncio.Event()

    async def started(self) -> None:
        """Wait until the size is known and some bytes are readable, or for the end. Raises the error of the fetch."""
        await self._until(lambda: self.total is not None and self._readable > 0)

    async def finished(self) -> None:
        """Wait for the end. Raises the error of the fetch."""
        await self._until(lambda: False)

    async def read(self, start: int, stop: int, size: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to, but not including, `stop` as they become readable.

        `size` is the number of bytes that was announced to the client. Raises the error of the fetch, and
        `UpstreamMalformed` if the file has another size: the client would mistake the bytes for the whole file.
        """
        self._readers += 1
        try:
            while start < stop:
                await self._until(lambda: self._readable > start)  # noqa: B023 - called before `start` changes
                if self.total != size:
                    raise UpstreamMalformed(f"{self.file.filename} does not have the {size} bytes that were announced")
                end = min(stop, self._readable, start + CHUNK)
                chunk = await asyncio.to_thread(self._read_at, start, end)
                start += len(chunk)
                self.has_sent_bytes = self.has_sent_bytes or not self.stored
                yield chunk
        finally:
            self._readers -= 1
            self._close_spool()

    async def read_piece(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, which have arrived."""
        return await asyncio.to_thread(self._read_at, start, stop)

    async def copy_to(self, writer: BlobWriter) -> None:
        """Write all bytes that have arrived to a blob."""
        for start in range(0, self._received, CHUNK):
            stop = min(start + CHUNK, self._received)
            await writer.write([await asyncio.to_thread(self._read_at, start, stop)])

    async def append(self, chunks: Sequence[bytes], hasher: "hashlib._Hash | None" = None) -> None:
        """Append bytes that have arrived, and hash them in the same thread."""
        self._received += await asyncio.to_thread(_append, self._spool, self._received, chunks, hasher)
        self._wake()

    async def gunzip(self, limit: int) -> str | None:
        """Decompress what has arrived in place, and return the SHA-256 of the result.

        Returns None and changes nothing if it is not gzip (RFC 1952), or if the result has more than `limit` bytes.
        No client may have read any of it.
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
        """Notify the readers that the file is stored."""
        self.file, self.total, self.stored = file, file.size, True
        self._wake()
        self._close_spool()

    def fail(self, error: KoscheyError) -> None:
        """Notify the readers why the file is not stored. Awaits nothing, so that no other task can run in between."""
        self.error = error
        self._wake()
        self._close_spool()

    @property
    def is_only_in_bucket(self) -> bool:
        """Whether the bytes are stored but not in the spool, because it is closed or was never filled."""
        return self.stored and (self._spool.closed or self._received != self.total)

    @property
    def descriptor(self) -> int:
        """The descriptor of the spool."""
        return self._spool.fileno()

    @property
    def received(self) -> int:
        """The number of bytes that have arrived."""
        return self._received

    @property
    def _ended(self) -> bool:
        return self.stored or self.error is not None

    @property
    def _readable(self) -> int:
        if self.stored:
            return self._received
        # The end of what has arrived is held back too: if the page states too large a size, it may be the file's end.
        return max(0, min(self._received, self.total or 0) - HELD_BACK)

    async def _until(self, is_reached: Callable[[], bool]) -> None:
        """Wait until `is_reached` is true or the fetch has ended. Raises the error of the fetch."""
        while not (self._ended or is_reached()):
            await self._progress.wait()
        if self.error:
            raise self.error

    def _wake(self) -> None:
        """Wake all waiting readers. Those that wait from now on wait for the next progress."""
        self._progress.set()
        self._progress = asyncio.Event()

    def _close_spool(self) -> None:
        if self._ended and not self._readers:
            self._spool.close()

    def _read_at(self, start: int, stop: int) -> bytes:
        return os.pread(self._spool.fileno(), stop - start, start)


def _append(spool: IO[bytes], offset: int, chunks: Sequence[bytes], hasher: "hashlib._Hash | None") -> int:
    """Write chunks one after another, and hash them. Returns their size."""
    for start in range(0, len(chunks), AT_ONCE):
        some = chunks[start : start + AT_ONCE]
        size, written = sum(map(len, some)), os.pwritev(spool.fileno(), some, offset)
        if written < size:
            _write_at(spool, offset + written, b"".join(some)[written:])
        offset += size
    if hasher is not None:
        for chunk in chunks:
            hasher.update(chunk)
    return sum(map(len, chunks))


# Writes at a position, so that the writer and all readers share one open file.
def _write_at(spool: IO[bytes], offset: int, chunk: bytes) -> None:
    while chunk:
        written = os.pwrite(spool.fileno(), chunk, offset)
        offset, chunk = offset + written, chunk[written:]


def _gunzip(source: IO[bytes], target: IO[bytes], limit: int) -> tuple[str, int]:
    """Decompress a file into another. Returns the SHA-256 and the size; raises `OverflowError` above `limit` bytes."""
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
