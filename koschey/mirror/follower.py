"""Refreshes upstream pages that no client requests.

Koschey thus notices a withdrawal, and confirms or ends a suspected one.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from packaging.utils import NormalizedName

from koschey.db.checking import update_releases
from koschey.db.pool import Pool
from koschey.db.projects import select_now, select_rechecked
from koschey.db.waiting import select_stale_projects, update_wanted
from koschey.errors import KoscheyError
from koschey.mirror.refresh import Refresher

log = structlog.get_logger()

AT_ONCE = 4
"""Maximum number of refreshes at once, to spare the upstream."""
RECENT = timedelta(days=30)
"""How long a file counts as recently downloaded or released."""
JUDGED = 2_000
"""Number of projects of which each step finds out whether they come first. Steps that follow each other reach all."""
COUNTED = 2_000
"""Number of projects whose releases each step counts."""
SKIP_FOR = 900.0
"""Seconds for which a project is skipped after its page could not be read, so that others get their turn."""
MAX_SKIPPED = 10_000
RECHECK_EVERY = 15.0
"""Seconds between two searches for pages that are due for a re-check."""
RECHECKS = 200
"""Maximum number of pages in one such search."""
RECHECK_SKIP_FOR = 60.0
"""Seconds for which a re-check skips a page that could not be read, so that others get their turn."""


@dataclass(frozen=True, slots=True)
class RefreshCounts:
    """The results of several refreshes."""

    refreshed: int
    failed: int


@dataclass(slots=True)
class Follower:
    """Refreshes pages that are stale or due for a re-check. One per process."""

    pool: Pool
    refresher: Refresher
    freshness: timedelta
    _skipped_until: dict[NormalizedName, float] = field(default_factory=dict)
    _judged: int = 0
    """The project after which the next step judges which ones come first."""
    _counted: int = 0
    """The project after which the next step counts releases."""

    async def refresh_stale(self, limit: int) -> RefreshCounts:
        """Refresh up to `limit` stale pages, a few at once. Failures are logged and retried later."""
        self._judged = await update_wanted(self.pool, RECENT, self._judged, JUDGED)
        self._counted = await update_releases(self.pool, self._counted, COUNTED)
        names = await select_stale_projects(self.pool, self.freshness, self._skipped(), limit)
        turns = asyncio.Semaphore(AT_ONCE)

        async def refresh(name: NormalizedName) -> bool:
            async with turns:
                return await self._refresh(name, await select_now(self.pool) - self.freshness)

        found = await asyncio.gather(*(refresh(name) for name in names))
        return RefreshCounts(sum(found), len(found) - sum(found))

    async def recheck_due(self, limit: int) -> RefreshCounts:
        """Re-check up to `limit` pages that are due because the page, or a file on it, is suspected to be absent."""
        due = await select_rechecked(self.pool, self._skipped(), limit)
        turns = asyncio.Semaphore(AT_ONCE)

        async def refresh(name: NormalizedName, since: datetime) -> bool:
            async with turns:
                return await self._refresh(name, since, RECHECK_SKIP_FOR)

        found = await asyncio.gather(*(refresh(*each) for each in due))
        return RefreshCounts(sum(found), len(found) - sum(found))

    def _skipped(self) -> list[NormalizedName]:
        """Return the projects that are still skipped after a failure."""
        now = time.monotonic()
        self._skipped_until = {name: until for name, until in self._skipped_until.items() if until > now}
        return list(self._skipped_until)

    async def _refresh(self, name: NormalizedName, since: datetime, skip_for: float = SKIP_FOR) -> bool:
        try:
            await self.refresher.refresh(name, since=since)
        except KoscheyError as error:
            log.warning("a page could not be refreshed", project=name, error=str(error))
            if len(self._skipped_until) < MAX_SKIPPED:
                self._skipped_until[name] = time.monotonic() + skip_for
            return False
        return True


async def keep_rechecking(follower: Follower) -> None:
    """Make the re-checks that confirm or end absences. Runs until it is cancelled.

    Every worker runs it, whether or not it follows the upstream. Suspected absences are in PostgreSQL, and two workers
    refresh one page only once.
    """
    while True:
        await follower.recheck_due(RECHECKS)
        await asyncio.sleep(RECHECK_EVERY)
