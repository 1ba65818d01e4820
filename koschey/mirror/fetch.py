"""Downloads a file from its upstream, verifies and stores it. Clients read it while it arrives.

Bytes first, row second. The bytes go into a spool, which clients read while it grows, and at the same time (a large
file afterwards, if two others are being written) into a blob that exists only after the digest is verified. No client
receives the end of a file before its digest is verified and its row is committed. The process can be killed at every
step: an incomplete upload leaves no blob, a blob without a row is found again by its digest, and the spool has no name.
"""

import asyncio
import hashlib
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field, replace

from koschey.concurrency.waiting import both
from koschey.db import files
from koschey.db.pool import Pool
from koschey.errors import (
    EgressRefused,
    Refused,
    StoreUnavailable,
    UpstreamError,
    UpstreamMalformed,
    UpstreamMismatch,
    UpstreamMissing,
    UpstreamUnavailable,
)
from koschey.inspection.dists.partial_wheels import read_wheel_metadata
from koschey.mirror.damage import Repairs, unrepaired
from koschey.mirror.fetched_files import Fetched, put_descriptions, store_fetched
from koschey.mirror.leases import Holding
from koschey.mirror.read_ahead import ReadAhead
from koschey.mirror.spool import Fetch
from koschey.model import File, Sha256
from koschey.storage.s3 import PART_SIZE, BlobWriter, Bucket, blob_key
from koschey.upstream.client import UpstreamClient, UpstreamDownload

WRITERS = 2
"""Large blobs that are written at once while they are downloaded: each has parts in memory."""
COPIES = 1
"""Blobs that are written at once from spools."""
GZIP = (("gzip",), ("x-gzip",))
"""Content codings that are decoded if the bytes as sent are not the file's: some servers really compress."""


@dataclass(frozen=True, slots=True)
class FileFetcher:
    """Downloads files from their upstreams into the bucket, and writes their rows. One per process."""

    pool: Pool
    bucket: Bucket
    upstream: UpstreamClient
    repairs: Repairs
    _writers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITERS))
    _copies: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(COPIES))
    """Those that write from a spool, and so do not depend on an upstream that may be slow."""

    async def obtain(self, fetch: Fetch, holding: Holding[File]) -> File:
        """Return the file after it is stored: downloaded, verified and committed, or found whole in the bucket again.

        `holding` is the lease under which the file is fetched; the statement that stores the file may release it.
        Raises `KoscheyError`, and `OSError` if the spool cannot be written.
        """
        file = fetch.file
        if file.damage is not None and (restored := await self.repairs.find_restored(file)):
            return restored
        if file.upstream_url is None:
            raise unrepaired(file)
        try:
            return await self._fetch(fetch, file.upstream_url, holding)
        except (UpstreamError, EgressRefused) as error:
            if isinstance(error, UpstreamMismatch):
                await files.update_mismatched(self.pool, file.id)
            if file.damage is None:
                raise
            # The file exists here, whatever its upstream answers now, so the client must not receive a 404.
            raise unrepaired(file, f"its upstream does not replace them: {error}") from error

    async def _fetch(self, fetch: Fetch, url: str, holding: Holding[File]) -> File:
        file = fetch.file
        async with self.upstream.fetch_file(url) as download:
            fetch.total = _expected_size(file, download)
            is_large = (fetch.total or 0) > PART_SIZE
            if file.sha256 is None or fetch.total is None or (is_large and self._writers.locked()):
                digest = await self._receive(fetch, download, None)
                async with self._copies, self.bucket.writer(blob_key(digest)) as writer:
                    await fetch.copy_to(writer)
                    return await self._store(fetch, download.url, digest, writer, holding)
            turn = self._writers if is_large else nullcontext()
            async with turn, self.bucket.writer(blob_key(file.sha256)) as writer:
                digest = await self._receive(fetch, download, writer)
                return await self._store(fetch, download.url, digest, writer, holding)

    async def _receive(self, fetch: Fetch, download: UpstreamDownload, writer: BlobWriter | None) -> Sha256:
        """Read all bytes, and return their digest if they are the right ones."""
        file, hasher = fetch.file, hashlib.sha256()
        async with aclosing(ReadAhead(download.chunks).batches()) as batches:
            async for chunks in batches:
                if fetch.total is not None and fetch.received + sum(map(len, chunks)) > fetch.total:
                    if file.sha256 is None:
                        raise UpstreamMalformed(f"{file.filename} is longer upstream than its page says")
                    # The digest decides. Until then clients read no more, because they were promised another size.
                    fetch.total = None
                await fetch.append(chunks, hasher)
                if writer is not None:
                    await writer.write(chunks)
        found = hasher.hexdigest()
        if writer is None and file.sha256 is not None and found != file.sha256 and download.codings in GZIP:
            found = await fetch.gunzip(download.limit) or found
        return _verified(fetch, found)

    async def _store(self, fetch: Fetch, url: str, digest: Sha256, writer: BlobWriter, holding: Holding[File]) -> File:
        """Commit the blob, describe the file from its bytes in the spool, and then write its rows."""
        whole = replace(fetch.file, sha256=digest, size=fetch.received)
        _, fetched = await both(self._keep(writer, whole), self._describe(fetch, whole, url))
        return await store_fetched(self.pool, fetched, holding)

    async def _keep(self, writer: BlobWriter, file: File) -> None:
        """Commit the blob, and read back that the bucket has it. Raises `StoreUnavailable`."""
        assert file.sha256 is not None
        await writer.commit(file.sha256)
        if await self.bucket.size_of(blob_key(file.sha256)) != file.size:
            raise StoreUnavailable(f"the bucket did not keep {file.filename}")

    async def _describe(self, fetch: Fetch, file: File, url: str) -> Fetched:
        """Return what the bytes say, after it is stored beside the blob."""
        fetched = await self._check_promise(await self._inspect(fetch, file, url), url)
        await put_descriptions(self.bucket, fetched)
        return fetched

    async def _inspect(self, fetch: Fetch, file: File, url: str) -> Fetched:
        """Read METADATA of a wheel while its bytes are still in the spool."""
        if not file.filename.endswith(".whl"):
            return Fetched(file, url)
        try:
            return Fetched(file, url, await read_wheel_metadata(file.filename, fetch.received, fetch.read_piece))
        except Refused as error:
            return Fetched(file, url, metadata_error=str(error))

    async def _check_promise(self, fetched: Fetched, url: str) -> Fetched:
        """If the wheel's METADATA is not what the page promised, check whether the upstream serves the promised one.

        If it does, it deceives resolvers, and the file will be blocked. If it does not, the promise is only broken.
        """
        promised = fetched.file.core_metadata
        if promised is None or fetched.file.metadata_stored or promised == fetched.core_metadata:
            return fetched
        try:
            beside = await self.upstream.fetch_metadata(url)
        except (UpstreamMissing, UpstreamMalformed):
            return replace(fetched, broken_promise=promised)
        is_kept = hashlib.sha256(beside).hexdigest() == promised
        return fetched if is_kept else replace(fetched, broken_promise=promised)


def _expected_size(file: File, download: UpstreamDownload) -> int | None:
    """Return the expected number of bytes of the file, or None if it is known only after the last byte.

    The digest decides. If the page states one, its size is a claim that the server's announcement corrects. If it
    states none, both sizes must agree: otherwise raises `UpstreamMalformed`.
    """
    if file.sha256 is None:
        if file.size is not None and download.size not in (None, file.size):
            raise UpstreamMalformed(f"{file.filename} has {download.size} bytes upstream, its page says {file.size}")
        return file.size if file.size is not None else download.size
    if download.codings and (download.size is None or download.size != file.size):
        # Either the coding is stated wrongly or the bytes are encoded. No client reads them before one is verified.
        return None
    return download.size if download.size is not None else file.size


def _verified(fetch: Fetch, digest: str) -> Sha256:
    """Return the digest if the bytes are those that the page promised, whatever size it claims.

    Raises `UpstreamUnavailable` if bytes are missing, and `UpstreamMismatch` if the digest is another.
    """
    file = fetch.file
    if digest == file.sha256:
        return file.sha256
    if fetch.total is not None and fetch.received != fetch.total:
        raise UpstreamUnavailable(f"{file.filename} broke off after {fetch.received} of {fetch.total} bytes")
    if file.sha256 is not None and digest != file.sha256:
        raise UpstreamMismatch(
            f"{file.filename}: the upstream sends bytes with sha256 {digest}, its page says {file.sha256}; "
            "nothing was kept"
        )
    return Sha256(digest)
