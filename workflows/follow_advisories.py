"""Follows the advisory feed: reads it every hour, while the settings name one.

Signal `look_again`: read it now.
"""

from dataclasses import dataclass, field

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.advisories import AdvisoryActivities, FeedReport
    from workflows.options import FEED_AGAIN_IN, FETCH, TRY_AGAIN_IN


@dataclass
class FollowAdvisoriesInput:
    """What the previous run of this workflow read last."""

    last: FeedReport = field(default_factory=FeedReport)


@workflow.defn(name="FollowAdvisories")
class FollowAdvisories:
    """Reads the advisory feed again and again."""

    @workflow.init
    def __init__(self, given: FollowAdvisoriesInput) -> None:
        self._last = given.last
        self._look_again = False

    @workflow.run
    async def run(self, _: FollowAdvisoriesInput) -> FeedReport:
        """Return once the settings no longer name a feed."""
        while True:
            self._look_again = False
            wait = FEED_AGAIN_IN
            try:
                self._last = await workflow.execute_activity_method(AdvisoryActivities.follow_advisories, **FETCH)
            except ActivityError:
                wait = TRY_AGAIN_IN
            else:
                if not self._last.configured:
                    return self._last
                wait = TRY_AGAIN_IN if self._last.fault else FEED_AGAIN_IN
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(FollowAdvisoriesInput(self._last))
            try:
                await workflow.wait_condition(lambda: self._look_again, timeout=wait)
            except TimeoutError:
                continue

    @workflow.signal
    def look_again(self) -> None:
        """Read the feed now."""
        self._look_again = True

    @workflow.query
    def last(self) -> FeedReport:
        """Return the report of the last reading."""
        return self._last
