"""The activity that follows the upstream: it refreshes the next few stale pages."""

from dataclasses import dataclass

from temporalio import activity

from activities.execution import expected_errors, heartbeats
from koschey.mirror.follower import Follower

LOOKS = 200
"""Maximum number of pages that one step refreshes."""
SHORTEST_REST = 30.0
"""Minimum number of seconds between two steps if nothing is stale."""


@dataclass(frozen=True)
class RefreshReport:
    """The result of one step: how many pages were refreshed, how many failed, and when the next step is due."""

    looked: int
    failed: int
    rest: float | None
    """Seconds until the next step; None if Koschey no longer follows the upstream."""


@dataclass(frozen=True)
class FollowActivities:
    """Refreshes pages of the upstream."""

    follower: Follower
    follow_upstream: bool

    @activity.defn
    async def look_at_stale(self, limit: int) -> RefreshReport:
        """Refresh at most `limit` stale pages."""
        if not self.follow_upstream:
            return RefreshReport(0, 0, None)
        with expected_errors():
            async with heartbeats():
                counts = await self.follower.refresh_stale(min(limit, LOOKS))
        # If a step used its whole limit and refreshed at least one page, the next step follows at once.
        is_full = counts.refreshed + counts.failed == limit and counts.refreshed > 0
        rest = max(self.follower.freshness.total_seconds() / 2, SHORTEST_REST)
        return RefreshReport(counts.refreshed, counts.failed, 0 if is_full else rest)
