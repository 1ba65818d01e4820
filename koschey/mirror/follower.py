"""Following the upstream: pages are looked at again though nobody asks for them.

So a withdrawal is noticed, and one that is suspected is confirmed or over.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from packaging.utils import NormalizedName

from koschey.db.pool import Pool
from koschey.db.projects import select_now, select_rechecked
from koschey.db.waiting import select_stale_projects
from koschey.errors import KoscheyError
from koschey.mirror.refresh import Refresher

log = structlog.get_logger()

AT_ONCE = 4
"""Looks side by side: a mirror is a guest."""
RECENT = timedelta(days=30)
"""How long a file counts as taken or let out of late."""
RESTS = 900.0
"""Seconds for which a project whose page could not be read keeps no other from its turn."""
RESTING_KEPT = 10_000
RECHECK_EVERY = 15.0
"""Seconds between two searches for looks that are due."""
RECHECKS = 200
"""Pages of one such search."""
RECHECK_RESTS = 60.0
"""Seconds for which a page that could not be read then keeps no other from its turn."""


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
        names = await select_stale_projects(self.pool, self.freshness, RECENT, self._rest(), limit)
        turns = asyncio.Semaphore(AT_ONCE)

        async def look(name: NormalizedName) -> bool:
            async with turns:
                return await self._look(name, await select_now(self.pool) - self.freshness)

        found = await asyncio.gather(*(look(name) for name in names))
        return Looks(sum(found), len(found) - sum(found))

    async def look_at_due(self, limit: int) -> Looks:
        """Look at up to `limit` pages of which, or on which, an absence is suspected, once their looks are due."""
        due = await select_rechecked(self.pool, self._rest(), limit)
        turns = asyncio.Semaphore(AT_ONCE)

        async def look(name: NormalizedName, since: datetime) -> bool:
            async with turns:
                return await self._look(name, since, RECHECK_RESTS)

        found = await asyncio.gather(*(look(*each) for each in due))
        return Looks(sum(found), len(found) - sum(found))

    def _rest(self) -> list[NormalizedName]:
        """Return the projects whose turn has not come again."""
        now = time.monotonic()
        self._resting = {name: until for name, until in self._resting.items() if until > now}
        return list(self._resting)

    async def _look(self, name: NormalizedName, since: datetime, rests: float = RESTS) -> bool:
        try:
            await self.refresher.look(name, since=since)
        except KoscheyError as error:
            log.warning("a page could not be followed", project=name, error=str(error))
            if len(self._resting) < RESTING_KEPT:
                self._resting[name] = time.monotonic() + rests
            return False
        return True


async def keep_rechecking(follower: Follower) -> None:
    """Make the looks that confirm or end absences. Has no end.

    Every worker does, whether or not it follows the upstream: what is suspected is in PostgreSQL, and two workers
    look at one page once.
    """
    while True:
        await follower.look_at_due(RECHECKS)
        await asyncio.sleep(RECHECK_EVERY)
