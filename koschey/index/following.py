"""Following the upstream: pages are looked at again though nobody asks for them, so that a withdrawal is noticed."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from packaging.utils import NormalizedName

from koschey.db.pool import Pool
from koschey.db.projects import select_now
from koschey.db.waiting import select_stale_projects
from koschey.errors import KoscheyError
from koschey.index.refresh import Refresher

log = structlog.get_logger()

AT_ONCE = 4
"""Looks side by side: a mirror is a guest."""
RECENT = timedelta(days=30)
"""How long a file counts as taken or let out of late."""
RESTS = 900.0
"""Seconds for which a project whose page could not be read keeps no other from its turn."""
RESTING_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Looks:
    """What became of some looks."""

    looked: int
    failed: int


@dataclass(slots=True)
class Follower:
    """Looks at pages that nobody has looked at for a while. One per process."""

    pool: Pool
    refresher: Refresher
    freshness: timedelta
    _resting: dict[NormalizedName, float] = field(default_factory=dict)

    async def look_at_stale(self, limit: int) -> Looks:
        """Look at up to `limit` stale pages, a few at once; what fails is logged and left for later."""
        now = time.monotonic()
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        names = await select_stale_projects(self.pool, self.freshness, RECENT, list(self._resting), limit)
        turns = asyncio.Semaphore(AT_ONCE)

        async def look(name: NormalizedName) -> bool:
            async with turns:
                return await self._look(name)

        found = await asyncio.gather(*(look(name) for name in names))
        return Looks(sum(found), len(found) - sum(found))

    async def _look(self, name: NormalizedName) -> bool:
        try:
            since = await select_now(self.pool) - self.freshness
            await self.refresher.look(name, since=since)
        except KoscheyError as error:
            log.warning("a page could not be followed", project=name, error=str(error))
            if len(self._resting) < RESTING_KEPT:
                self._resting[name] = time.monotonic() + RESTS
            return False
        return True
