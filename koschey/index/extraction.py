"""Core metadata (PEP 658) of mirrored wheels for which the upstream gives none: read out of the wheel itself.

Of a stored wheel METADATA is read in the bucket; of one that nobody has downloaded yet, by range requests at the
upstream. It is then stored and advertised like any other; when the wheel is fetched one day, it is compared again.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from koschey.db import described, journal, projects
from koschey.db.described import Described
from koschey.db.journal import Entry
from koschey.db.pool import Pool
from koschey.errors import Damaged, Refused, UpstreamMalformed, UpstreamMissing
from koschey.index.damage import report_damage
from koschey.inspection.partial import TAIL, read_wheel_metadata
from koschey.model import SYSTEM, File, Sha256
from koschey.storage.s3 import Bucket, blob_key
from koschey.upstream.client import UpstreamClient

BATCH = 40
"""Wheels of one step; each step is one change of the project's page."""
AT_ONCE = 4
"""Range requests under way at once."""


@dataclass(frozen=True, slots=True)
class Extractor:
    """Reads METADATA where nobody gives it."""

    pool: Pool
    bucket: Bucket
    upstream: UpstreamClient

    async def describe(self, project: NormalizedName) -> bool:
        """Read METADATA of the next wheels of a project, the newest first; tells whether there may be more.

        Raises `UpstreamUnavailable` where the upstream does not answer now; what was read until then is kept.
        """
        wheels = await described.select_undescribed(self.pool, project, BATCH)
        turns = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*(self._describe(wheel, turns) for wheel in wheels), return_exceptions=True)
        await self._record(project, [one for one in found if isinstance(one, Described)])
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return len(wheels) == BATCH

    async def _describe(self, wheel: File, turns: asyncio.Semaphore) -> Described:
        async with turns:
            try:
                body = await (self._from_bucket(wheel) if wheel.stored_at else self._from_upstream(wheel))
            except (Refused, UpstreamMalformed, UpstreamMissing) as error:
                return Described(wheel, None, str(error))
            digest = Sha256(hashlib.sha256(body).hexdigest())
            await self.bucket.put(blob_key(digest), body)
            return Described(wheel, digest, None)

    async def _from_bucket(self, wheel: File) -> bytes:
        assert wheel.sha256 is not None
        assert wheel.size is not None
        key, size = blob_key(wheel.sha256), wheel.size

        async def read(start: int, stop: int) -> bytes:
            return b"".join([chunk async for chunk in self.bucket.stream(key, start, stop, size)])

        try:
            return await read_wheel_metadata(wheel.filename, size, read)
        except Damaged as error:
            await report_damage(self.pool, wheel, error)
            raise

    async def _from_upstream(self, wheel: File) -> bytes:
        assert wheel.upstream_url is not None
        url = wheel.upstream_url

        async def read(start: int, stop: int) -> bytes:
            piece = await self.upstream.fetch_range(url, f"{start}-{stop - 1}")
            if piece.start != start:
                raise UpstreamMalformed(f"{url} sends other bytes than were asked for")
            return piece.body

        # From the end: where the page gives no size, this is how it is learned.
        tail = await self.upstream.fetch_range(url, f"-{TAIL}")
        if tail.start + len(tail.body) != tail.size:
            raise UpstreamMalformed(f"{url} sends other bytes than were asked for")
        # Where the page gives a digest, the size that it gives is a claim that the whole wheel will correct.
        if wheel.sha256 is None and wheel.size not in (None, tail.size):
            raise UpstreamMalformed(f"{url} has {tail.size} bytes, its page says {wheel.size}")
        return await read_wheel_metadata(wheel.filename, tail.size, read, tail.body)

    async def _record(self, project: NormalizedName, found: Sequence[Described]) -> None:
        if not found:
            return
        async with self.pool.acquire() as connection, connection.transaction():
            await projects.lock_project(connection, project)
            updated = await described.update_described(connection, found)
            entries = [
                Entry(one.wheel.version, one.wheel.filename, {"core_metadata": one.core_metadata})
                for one in found
                if one.core_metadata and one.wheel.id in updated
            ]
            if entries:
                await journal.insert_entries(connection, SYSTEM, "core metadata", project, entries)
