"""Reading the advisory feed, and acting on what it says."""

from dataclasses import dataclass

import structlog
from temporalio import activity

from activities.execution import heartbeats
from koschey.db.advisories import select_feed, update_fault
from koschey.db.pool import Pool
from koschey.errors import EgressRefused, UpstreamError
from koschey.policy.advisories import Feed
from koschey.quarantine.advisories import act_on_advisories, confirm_reading, write_reading
from koschey.upstream.advisories import AdvisoryFeed

log = structlog.get_logger()


@dataclass(frozen=True)
class FeedReport:
    """What a reading of the feed brought."""

    configured: bool = True
    fault: str | None = None
    """Why the feed could not be read; what it said before goes on counting, until it is too old."""
    advisories: int = 0
    blocked: int = 0
    """Files that were blocked as malware."""
    fixes: int = 0
    """Security fixes that wait, and that people were told of now."""


@dataclass(frozen=True)
class AdvisoryActivities:
    """Follows the feed that the settings name, if any."""

    pool: Pool
    source: AdvisoryFeed | None
    feed: Feed | None

    @activity.defn
    async def follow_advisories(self) -> FeedReport:
        """Read the feed if it has changed, and act on it. Can be killed anywhere and run again."""
        if self.source is None or self.feed is None:
            return FeedReport(configured=False)
        async with heartbeats():
            fault = await self._read(self.source, self.feed)
            async with self.pool.acquire() as connection:
                change = await act_on_advisories(connection)
        state = await select_feed(self.pool)
        return FeedReport(True, fault, state.advisories, change.blocked, change.fixes)

    async def _read(self, source: AdvisoryFeed, feed: Feed) -> str | None:
        """Bring what the feed holds here; returns why that was not possible."""
        state = await select_feed(self.pool)
        try:
            reading = await source.read(state.etag if state.read_at else None)
        except (UpstreamError, EgressRefused) as error:
            log.warning("the advisory feed could not be read", error=str(error))
            async with self.pool.acquire() as connection:
                await update_fault(connection, str(error)[:500])
            return str(error)[:500]
        async with self.pool.acquire() as connection:
            if reading is None:
                await confirm_reading(connection, feed)
            else:
                await write_reading(connection, reading.advisories, reading.etag, feed)
        return None
