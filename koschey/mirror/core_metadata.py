"""Core metadata beside a wheel (PEP 658): stored under its own digest, and downloaded once for all callers.

An upstream's page only promises core metadata. If the upstream does not serve it, Koschey reads METADATA from the
wheel. If that differs from the promise, the index lists it instead from then on; if the wheel has none, the index lists
none. Stored core metadata may have been served: the wheel must match it, and it is never replaced.
"""

import asyncio
import hashlib

import structlog

from koschey.concurrency.flights import Flights
from koschey.db import described, projects
from koschey.db.damage import mark_metadata_repaired
from koschey.db.pool import Pool
from koschey.errors import (
    Busy,
    Damaged,
    EgressRefused,
    RangesUnsupported,
    Refused,
    UpstreamError,
    UpstreamMismatch,
    UpstreamUnavailable,
)
from koschey.mirror.damage import report_metadata_damage
from koschey.mirror.file_store import FileStore
from koschey.mirror.wheel_reader import WheelReader
from koschey.model import File, FileId, Sha256
from koschey.storage.blobs import read_blob
from koschey.storage.s3 import Bucket, blob_key
from koschey.upstream.client import UpstreamClient

log = structlog.get_logger()

PATIENCE = 25.0
"""Seconds to wait for a wheel that must be downloaded whole before the client is asked to try again."""


class MetadataStore:
    """Returns core metadata, and gets it from upstreams or wheels. One per process."""

    def __init__(
        self, pool: Pool, bucket: Bucket, upstream: UpstreamClient, wheels: WheelReader, store: FileStore
    ) -> None:
        self._pool = pool
        self._bucket = bucket
        self._upstream = upstream
        self._wheels = wheels
        self._files = store
        self._flights: Flights[FileId, bytes | None] = Flights()

    async def read(self, file: File) -> bytes | None:
        """Return the core metadata of a wheel, or None if none is listed.

        Raises `UpstreamError` if neither the upstream nor the wheel can be read, `Damaged` if stored core metadata is
        lost and cannot be restored, `StoreUnavailable`, `EgressRefused` and `Busy`.
        """
        if file.core_metadata is None:
            return None
        if file.metadata_stored:
            try:
                return await read_blob(self._bucket, file.core_metadata)
            except Damaged as error:
                await report_metadata_damage(self._pool, file, error)
        return await self._flights.join(file.id, lambda: self._obtain(file))

    async def close(self) -> None:
        """Cancel all work; the next request starts it again."""
        await self._flights.close()

    async def _obtain(self, known: File) -> bytes | None:
        file = await self._files.reload(known)
        if file.core_metadata is None:
            return None
        if not file.metadata_stored:
            return await self._fetch(file, file.core_metadata)
        if not known.metadata_stored:
            # It was stored after the caller read the row.
            try:
                return await read_blob(self._bucket, file.core_metadata)
            except Damaged as error:
                await report_metadata_damage(self._pool, file, error)
        return await self._restore(file, file.core_metadata)

    async def _fetch(self, file: File, promised: Sha256) -> bytes | None:
        """Get the core metadata that the page promised, or the METADATA in the wheel."""
        try:
            return await self._store(file, promised, await self._read_beside(file, promised))
        except UpstreamError as error:
            log.info("promised core metadata is not available", file=file.filename, error=str(error))
            return await self._substitute(file, promised, error)

    async def _read_beside(self, file: File, digest: Sha256) -> bytes:
        """Return the core metadata that the upstream serves beside the wheel. Raises if its digest does not match."""
        if file.upstream_url is None:
            raise UpstreamMismatch(f"{file.filename} has no upstream")
        body = await self._upstream.fetch_metadata(file.upstream_url)
        if _digest(body) != digest:
            raise UpstreamMismatch(f"the upstream's core metadata of {file.filename} does not match its page's sha256")
        return body

    async def _substitute(self, file: File, promised: Sha256, failure: UpstreamError) -> bytes | None:
        """Return the wheel's own METADATA, because the upstream did not serve what it promised.

        If the upstream does not answer, the promise may be true, so no other core metadata is listed in its place.
        """
        try:
            body = await self._wheels.read(file)
        except RangesUnsupported:
            return await self._from_whole(file)
        except Refused as error:
            if isinstance(failure, UpstreamUnavailable):
                raise failure from error
            return await self._replace(file, promised, None, str(error))
        if _digest(body) == promised:
            return await self._store(file, promised, body)
        if isinstance(failure, UpstreamUnavailable):
            raise failure
        return await self._replace(file, promised, body, None)

    async def _from_whole(self, file: File) -> bytes | None:
        """Store the whole wheel, which also compares its METADATA with the promise."""
        try:
            async with asyncio.timeout(PATIENCE):
                stored = await self._files.store(file)
        except TimeoutError:
            raise Busy(f"Koschey is fetching {file.filename} to read its core metadata; try again soon") from None
        if stored.core_metadata is None or not stored.metadata_stored:
            return None
        return await read_blob(self._bucket, stored.core_metadata)

    async def _store(self, file: File, digest: Sha256, body: bytes) -> bytes:
        await self._bucket.put(blob_key(digest), body)
        if not await described.update_promise_stored(self._pool, file.id, digest):
            raise Busy(f"the core metadata of {file.filename} has just changed; try again")
        return body

    async def _replace(self, file: File, promised: Sha256, body: bytes | None, error: str | None) -> bytes | None:
        """Replace a broken promise by the wheel's own METADATA, or by nothing if the wheel has none."""
        found = None if body is None else _digest(body)
        if body is not None and found is not None:
            await self._bucket.put(blob_key(found), body)
        async with self._pool.acquire() as connection, connection.transaction():
            await projects.lock_project(connection, file.project)
            if not await described.replace_promise(connection, file, promised, found, error):
                raise Busy(f"the core metadata of {file.filename} has just changed; try again")
        return body

    async def _restore(self, file: File, digest: Sha256) -> bytes:
        """Get exactly the bytes that were stored before from any source that has them, and store them again."""
        failure: Exception | None = None
        for read in (self._read_stored, self._read_wheel, self._read_beside):
            try:
                body = await read(file, digest)
            except (UpstreamError, EgressRefused, Damaged, Refused) as error:
                failure = error
                continue
            await self._bucket.put(blob_key(digest), body)
            async with self._pool.acquire() as connection:
                await mark_metadata_repaired(connection, file)
            return body
        raise Damaged(
            f"the bucket has lost or altered the core metadata of {file.filename}, which cannot be read out of the "
            f"file ({failure}); restore {blob_key(digest)} in the bucket from a backup"
        ) from failure

    async def _read_stored(self, file: File, digest: Sha256) -> bytes:
        del file
        return await read_blob(self._bucket, digest)

    async def _read_wheel(self, file: File, digest: Sha256) -> bytes:
        body = await self._wheels.read(file)
        if _digest(body) != digest:
            raise Refused(f"{file.filename} does not contain the METADATA that was stored")
        return body


def _digest(body: bytes) -> Sha256:
    return Sha256(hashlib.sha256(body).hexdigest())
