"""Follows the upstream for ever: looks at pages that nobody asks for, so that what was withdrawn is noticed.

It decides nothing: what a page says is taken in as if a client had asked for it. What is held, let out of late or
taken of late comes first. Started by every worker, once for all of them; `KOSCHEY_FOLLOW_UPSTREAM=false` ends it.

Signal `look_again`: do not wait.
"""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.following import LOOKS, FollowActivities, LookReport
    from workflows.options import EVENTS, FOLLOW, TRY_AGAIN_IN


@dataclass
class FollowUpstreamInput:
    """Nothing yet; what there is to follow is in PostgreSQL."""

    looks: int = LOOKS
    """Pages of one step."""


@workflow.defn(name="FollowUpstream")
class FollowUpstream:
    """See the module."""

    def __init__(self) -> None:
        self._look_again = False
        self._last: LookReport | None = None

    @workflow.run
    async def run(self, given: FollowUpstreamInput) -> str:
        """Return only where following is switched off."""
        while True:
            self._look_again = False
            rest = await self._step(given.looks)
            if rest is None:
                return "switched off (KOSCHEY_FOLLOW_UPSTREAM)"
            info = workflow.info()
            if info.get_current_history_length() >= EVENTS or info.is_continue_as_new_suggested():
                workflow.continue_as_new(given)
            await self._rest(rest)

    @workflow.signal
    def look_again(self, *_: object) -> None:
        """There is something to look at."""
        self._look_again = True

    @workflow.query
    def status(self) -> LookReport | None:
        """What the last step brought."""
        return self._last

    async def _step(self, looks: int) -> timedelta | None:
        try:
            self._last = await workflow.execute_activity_method(FollowActivities.look_at_stale, looks, **FOLLOW)
        except ActivityError:
            return TRY_AGAIN_IN
        return None if self._last.rest is None else timedelta(seconds=self._last.rest)

    async def _rest(self, span: timedelta) -> None:
        try:
            await workflow.wait_condition(lambda: self._look_again, timeout=max(span, timedelta(seconds=1)))
        except TimeoutError:
            return
