"""Follows the upstream permanently: refreshes pages that no client requests, so that withdrawn files are noticed.

It decides nothing: a refreshed page has the same effect as one that a client has requested. Projects with files that
are held, or were recently released or downloaded, come first. Every worker starts this workflow; one run serves all of
them. `KOSCHEY_FOLLOW_UPSTREAM=false` ends it.

Signal `look_again`: do the next step now.
"""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.following import LOOKS, FollowActivities, RefreshReport
    from workflows.options import EVENTS, FOLLOW, TRY_AGAIN_IN


@dataclass
class FollowUpstreamInput:
    """The size of a step; PostgreSQL knows which pages to refresh."""

    looks: int = LOOKS
    """Maximum number of pages that one step refreshes."""


@workflow.defn(name="FollowUpstream")
class FollowUpstream:
    """Refreshes stale pages of the upstream again and again."""

    def __init__(self) -> None:
        self._look_again = False
        self._last: RefreshReport | None = None

    @workflow.run
    async def run(self, given: FollowUpstreamInput) -> str:
        """Return only if following is switched off."""
        while True:
            self._look_again = False
            pause = await self._step(given.looks)
            if pause is None:
                return "switched off (KOSCHEY_FOLLOW_UPSTREAM)"
            info = workflow.info()
            if info.get_current_history_length() >= EVENTS or info.is_continue_as_new_suggested():
                workflow.continue_as_new(given)
            await self._wait_for_signal(pause)

    @workflow.signal
    def look_again(self, *_: object) -> None:
        """Do the next step now."""
        self._look_again = True

    @workflow.query
    def status(self) -> RefreshReport | None:
        """Return the report of the last step."""
        return self._last

    async def _step(self, looks: int) -> timedelta | None:
        try:
            self._last = await workflow.execute_activity_method(FollowActivities.look_at_stale, looks, **FOLLOW)
        except ActivityError:
            return TRY_AGAIN_IN
        return None if self._last.rest is None else timedelta(seconds=self._last.rest)

    async def _wait_for_signal(self, span: timedelta) -> None:
        try:
            await workflow.wait_condition(lambda: self._look_again, timeout=max(span, timedelta(seconds=1)))
        except TimeoutError:
            return
