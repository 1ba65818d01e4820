"""Reads the advisory feed, and acts on its advisories."""

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
    """The result of one reading of the feed."""

    configured: bool = True
    fault: str | None = None
    """Why the feed could not be read. The advisories of the last reading stay active until they are too old."""
    advisories: int = 0
    blocked: int = 0
    """Number of files that were blocked as malware."""
    fixes: int = 0
    """Number of held security fixes that were new, so that an alert was raised."""


@dataclass(frozen=True)
class AdvisoryActivities:
    """Follows the feed that the settings name, if any."""

    pool: Pool
    source: AdvisoryFeed | None
    feed: Feed | None

    @activity.defn
    async def follow_advisories(self) -> FeedReport:
        """Read the feed if it has changed, and act on it. May be killed at any point and run again."""
        if self.source is None or self.feed is None:
            return FeedReport(configured=False)
        async with heartbeats():
            fault = await self._read(self.source, self.feed)
            async with self.pool.acquire() as connection:
                change = await act_on_advisories(connection)
        state = await select_feed(self.pool)
        return FeedReport(True, fault, state.advisories, change.blocked, change.fixes)

    async def _read(self, source: AdvisoryFeed, feed: Feed) -> str | None:
        """Store the contents of the feed; return why that was not possible, or None."""
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
