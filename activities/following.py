"""The one step of following the upstream: the next few pages that nobody has looked at for a while."""

from dataclasses import dataclass

from temporalio import activity

from activities.execution import expected_errors, heartbeats
from koschey.mirror.follower import Follower

LOOKS = 200
"""Pages of one step."""
SHORTEST_REST = 30.0
"""Seconds between two steps at least, once nothing is stale."""


@dataclass(frozen=True)
class LookReport:
    """What became of one step, and what is to come."""

    looked: int
    failed: int
    rest: float | None
    """Seconds until the next step; None where the upstream is not to be followed any more."""


@dataclass(frozen=True)
class FollowActivities:
    """Looks at pages of the upstream."""

    follower: Follower
    follow_upstream: bool

    @activity.defn
    async def look_at_stale(self, limit: int) -> LookReport:
        """Look at stale pages, `limit` at the most."""
        if not self.follow_upstream:
            return LookReport(0, 0, None)
        with expected_errors():
            async with heartbeats():
                looks = await self.follower.look_at_stale(min(limit, LOOKS))
        # Where a step was full and brought something, the next one follows at once.
        is_full = looks.looked + looks.failed == limit and looks.looked > 0
        rest = max(self.follower.freshness.total_seconds() / 2, SHORTEST_REST)
        return LookReport(looks.looked, looks.failed, 0 if is_full else rest)
