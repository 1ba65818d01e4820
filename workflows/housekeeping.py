"""Housekeeping: notes expired rules, restarts lost quarantines, deletes old download records and unfinished uploads.

It decides nothing: an expired rule is inactive whether that is noted or not, and a held release without a workflow
stays held. Every worker starts it; one run serves all of them.

Signal `look_again`: do the next round now.
"""

from dataclasses import dataclass, field

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.housekeeping import HousekeepingActivities, ReleasePosition
    from activities.uploads import UploadActivities
    from workflows.options import DATABASE, EVENTS, HOUSEKEEPING_EVERY, SWEEP


@dataclass
class HousekeepingInput:
    """The place that the previous run reached on its walk through all held releases."""

    place: ReleasePosition = field(default_factory=ReleasePosition)


@workflow.defn(name="Housekeeping")
class Housekeeping:
    """Runs permanently, a round every `HOUSEKEEPING_EVERY`."""

    @workflow.init
    def __init__(self, given: HousekeepingInput) -> None:
        self._place = given.place
        self._look_again = False

    @workflow.run
    async def run(self, _: HousekeepingInput) -> None:
        """Do rounds of housekeeping; never return."""
        while True:
            self._look_again = False
            try:
                await self._go_round()
            except ActivityError as error:
                workflow.logger.warning("housekeeping is delayed: %s", error.cause)
            info = workflow.info()
            if info.get_current_history_length() >= EVENTS or info.is_continue_as_new_suggested():
                workflow.continue_as_new(HousekeepingInput(self._place))
            await self._wait_for_signal()

    @workflow.signal
    def look_again(self, *_: object) -> None:
        """Do the next round now."""
        self._look_again = True

    async def _go_round(self) -> None:
        await workflow.execute_activity_method(HousekeepingActivities.end_rules, **DATABASE)
        place: ReleasePosition | None = await workflow.execute_activity_method(
            HousekeepingActivities.restart_held_releases, self._place, **DATABASE
        )
        self._place = place or ReleasePosition()
        await workflow.execute_activity_method(HousekeepingActivities.forget_downloads, **DATABASE)
        await workflow.execute_activity_method(UploadActivities.sweep_uploads, **SWEEP)

    async def _wait_for_signal(self) -> None:
        try:
            await workflow.wait_condition(lambda: self._look_again, timeout=HOUSEKEEPING_EVERY)
        except TimeoutError:
            return
