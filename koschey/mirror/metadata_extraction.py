"""Reads core metadata (PEP 658) from mirrored wheels for which the upstream serves none.

It is then stored and listed like any other. When the wheel is downloaded later, its METADATA is compared with it.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from koschey.db import described, journal, projects
from koschey.db.described import DescribedWheel
from koschey.db.journal import Entry
from koschey.db.pool import Pool
from koschey.errors import Refused, UpstreamMalformed, UpstreamMissing
from koschey.events import Event
from koschey.mirror.wheel_reader import WheelReader
from koschey.model import SYSTEM, File, Sha256
from koschey.storage.s3 import Bucket, blob_key

BATCH = 40
"""Maximum number of wheels in one step; each step is one change of the project's page."""
AT_ONCE = 4
"""Maximum number of wheels that are read at once."""


@dataclass(frozen=True, slots=True)
class Extractor:
    """Reads METADATA from wheels for which no core metadata is listed."""

    pool: Pool
    bucket: Bucket
    wheels: WheelReader

    async def describe(self, project: NormalizedName) -> bool:
        """Read METADATA of the next wheels of a project, the newest first. Returns whether there may be more wheels.

        Raises `UpstreamUnavailable` if the upstream does not answer now; what was read is kept.
        """
        wheels = await described.select_undescribed(self.pool, project, BATCH)
        turns = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*(self._describe(wheel, turns) for wheel in wheels), return_exceptions=True)
        await self._record(project, [one for one in found if isinstance(one, DescribedWheel)])
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return len(wheels) == BATCH

    async def _describe(self, wheel: File, turns: asyncio.Semaphore) -> DescribedWheel:
        async with turns:
            try:
                body = await self.wheels.read(wheel)
            except (Refused, UpstreamMalformed, UpstreamMissing) as error:
                return DescribedWheel(wheel, None, str(error))
            digest = Sha256(hashlib.sha256(body).hexdigest())
            await self.bucket.put(blob_key(digest), body)
            return DescribedWheel(wheel, digest, None)

    async def _record(self, project: NormalizedName, found: Sequence[DescribedWheel]) -> None:
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
                await journal.insert_entries(connection, SYSTEM, Event.CORE_METADATA, project, entries)
