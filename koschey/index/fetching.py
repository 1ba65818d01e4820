"""Fetching a file from its upstream: once for all who ask, verified, stored, and readable while it arrives.

Bytes first, row second. The bytes go into an unnamed temporary file, from which any number of readers follow, and at
the same time into a blob that comes to exist only when the sha256 and the size matched. Readers get all but the last
`HELD_BACK` bytes as they arrive and the rest only after the row was committed, so nobody ever holds a complete file
that is not verified and kept. Every step can be killed: an upload that is not completed leaves no blob, a blob without
a row is found again by its digest, and the temporary file has no name.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from koschey.db.pool import LOST, Pool
from koschey.errors import KoscheyError, Refused, StoreUnavailable, UpstreamMalformed, UpstreamUnavailable
from koschey.index.keeping import Fetched, keep
from koschey.inspection.partial import read_wheel_metadata
from koschey.model import File, Sha256
from koschey.storage.blobs import HELD_BACK
from koschey.storage.s3 import CHUNK, BlobWriter, Bucket, blob_key
from koschey.upstream.client import Download, UpstreamClient


class Fetch:
    """One file on its way: what has arrived, and how it ended."""

    def __init__(self, file: File, spool: Path | None) -> None:
        self.file = file
        self.total: int | None = file.size
        self.stored = False
        self.error: KoscheyError | None = None
        self._received = 0
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=spool, buffering=0)  # noqa: SIM115
        self._readers = 0
        self._progress = asyncio.Condition()

    async def started(self) -> None:
        """Wait until bytes may be sent: enough to be worth it, or the end. Raises what the fetch failed with."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._ended or (self.total is not None and self._readable > 0))
        if self.error:
            raise self.error

    async def finished(self) -> None:
        """Wait for the end. Raises what the fetch failed with."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._ended)
        if self.error:
            raise self.error

    async def read(self, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to `stop` as they become readable. Raises what the fetch failed with."""
        self._readers += 1
        try:
            while start < stop:
                async with self._progress:
                    await self._progress.wait_for(lambda: self._ended or self._readable > start)  # noqa: B023
                if self.error:
                    raise self.error
                end = min(stop, self._readable, start + CHUNK)
                chunk = await asyncio.to_thread(self._read_at, start, end)
                start += len(chunk)
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
        await asyncio.to_thread(self._write_at, self._received, chunk)
        async with self._progress:
            self._received += len(chunk)
            self._progress.notify_all()

    async def end(self, file: File | None, error: KoscheyError | None) -> None:
        """Tell the readers how it ended: with the stored file, or with an error."""
        async with self._progress:
            if file is not None:
                self.file, self.total, self.stored = file, file.size, True
            self.error = error
            self._progress.notify_all()
        self._close_spool()

    @property
    def is_only_in_bucket(self) -> bool:
        """Whether the bytes are stored and the spool is gone."""
        return self.stored and self._spool.closed

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
        return max(0, min(self._received, (self.total or 0) - HELD_BACK))

    def _close_spool(self) -> None:
        if self._ended and not self._readers:
            self._spool.close()

    # Positional, so that the writer and all readers share one open file.
    def _write_at(self, offset: int, chunk: bytes) -> None:
        while chunk:
            written = os.pwrite(self._spool.fileno(), chunk, offset)
            offset, chunk = offset + written, chunk[written:]

    def _read_at(self, start: int, stop: int) -> bytes:
        return os.pread(self._spool.fileno(), stop - start, start)


@dataclass(frozen=True, slots=True)
class FileFetcher:
    """Brings one file from its upstream into the bucket and its row."""

    pool: Pool
    bucket: Bucket
    upstream: UpstreamClient

    async def run(self, fetch: Fetch) -> None:
        """Fetch, verify, store and commit; the outcome is told to `fetch` and to nobody else."""
        try:
            await fetch.end(await self._fetch(fetch), None)
        except KoscheyError as error:
            await fetch.end(None, error)
        except (*LOST, OSError) as error:
            await fetch.end(None, StoreUnavailable(f"{fetch.file.filename} could not be stored: {error!r}"))
        except BaseException as error:
            await fetch.end(None, StoreUnavailable(f"the fetch of {fetch.file.filename} was ended: {error!r}"))
            raise

    async def _fetch(self, fetch: Fetch) -> File:
        file = fetch.file
        assert file.upstream_url is not None
        async with self.upstream.fetch_file(file.upstream_url) as download:
            if file.size is not None and download.size not in (None, file.size):
                raise UpstreamMalformed(
                    f"{file.filename} has {download.size} bytes upstream, its page says {file.size}"
                )
            fetch.total = file.size if file.size is not None else download.size
            digest = await self._receive(fetch, download)
            whole = replace(file, sha256=digest, size=fetch.received)
            return await keep(self.pool, self.bucket, await self._inspect(fetch, whole, download.url))

    async def _receive(self, fetch: Fetch, download: Download) -> Sha256:
        """Read all bytes, and make the blob exist if and only if they are the right ones."""
        file, hasher = fetch.file, hashlib.sha256()
        if file.sha256 is None:
            await self._spool(fetch, download, hasher, None)
            digest = _verified(fetch, hasher.hexdigest())
            async with self.bucket.writer(blob_key(digest)) as writer:
                await fetch.copy_to(writer)
                await writer.commit()
            return digest
        async with self.bucket.writer(blob_key(file.sha256)) as writer:
            await self._spool(fetch, download, hasher, writer)
            digest = _verified(fetch, hasher.hexdigest())
            await writer.commit()
            return digest

    async def _spool(
        self, fetch: Fetch, download: Download, hasher: "hashlib._Hash", writer: BlobWriter | None
    ) -> None:
        async with aclosing(_gather(download.chunks)) as chunks:
            async for chunk in chunks:
                hasher.update(chunk)
                if fetch.total is not None and fetch.received + len(chunk) > fetch.total:
                    raise UpstreamMalformed(f"{fetch.file.filename} is longer upstream than its page says")
                await fetch.append(chunk)
                if writer is not None:
                    await writer.write(chunk)

    async def _inspect(self, fetch: Fetch, file: File, url: str) -> Fetched:
        """Read METADATA of a wheel while its bytes are still at hand."""
        if not file.filename.endswith(".whl"):
            return Fetched(file, url)
        try:
            return Fetched(file, url, await read_wheel_metadata(file.filename, fetch.received, fetch.read_piece))
        except Refused as error:
            return Fetched(file, url, metadata_error=str(error))


def _verified(fetch: Fetch, digest: str) -> Sha256:
    """Raise `UpstreamMalformed` unless the bytes are those that the page promised."""
    file = fetch.file
    if fetch.total is not None and fetch.received != fetch.total:
        raise UpstreamUnavailable(f"{file.filename} broke off after {fetch.received} of {fetch.total} bytes")
    if file.sha256 is not None and digest != file.sha256:
        raise UpstreamMalformed(
            f"{file.filename}: the upstream sends bytes with sha256 {digest}, its page says {file.sha256}; "
            "nothing was kept"
        )
    return Sha256(digest)


async def _gather(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Join small chunks, so that each costs one write; the first ones go at once, for a quick first byte."""
    buffer, least = bytearray(), 0
    async for chunk in chunks:
        buffer += chunk
        if len(buffer) >= least:
            yield bytes(buffer)
            buffer.clear()
            least = CHUNK
    if buffer:
        yield bytes(buffer)
