"""Reads core metadata (PEP 658) from mirrored wheels for which the upstream serves none.

It is then stored and listed like any other. When the wheel is downloaded later, its METADATA is compared with it.

Each record of what was read is a change of the project's page, which every web process then builds again. So records
are few: the first follows soon, for the newest wheels, and the time to the next one doubles.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched

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

BATCH = 2000
"""Maximum number of wheels in one call."""
STEP = 20
"""Number of wheels after which a call considers a record, and ends if the upstream does not answer."""
AT_ONCE = 4
"""Maximum number of wheels that are read at once."""
FIRST_RECORD = 5.0
"""Seconds until the first record, if the wheels are not all read before."""


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
        read: list[DescribedWheel] = []
        wait, recorded_at = FIRST_RECORD, time.monotonic()
        for step in batched(wheels, STEP):
            found = await self._read(step)
            read += [one for one in found if isinstance(one, DescribedWheel)]
            errors = [one for one in found if isinstance(one, BaseException)]
            if errors or time.monotonic() - recorded_at >= wait:
                await self._record(project, read)
                read, wait, recorded_at = [], 2 * wait, time.monotonic()
            if errors:
                raise errors[0]
        await self._record(project, read)
        return len(wheels) == BATCH

    async def _read(self, wheels: Sequence[File]) -> list[DescribedWheel | BaseException]:
        turns = asyncio.Semaphore(AT_ONCE)
        return await asyncio.gather(*(self._describe(wheel, turns) for wheel in wheels), return_exceptions=True)

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
