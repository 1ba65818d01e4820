"""Keeps house for ever: writes off rules that have ended, starts lost quarantines anew, forgets downloads of long ago.

It decides nothing: a rule that has ended is not in force whether that is written down or not, and a quarantine that
nobody drives stays a quarantine. Started by every worker, once for all of them.

Signal `look_again`: do not wait.
"""

from dataclasses import dataclass, field

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.housekeeping import HousekeepingActivities, Place
    from activities.uploads import UploadActivities
    from workflows.options import DATABASE, EVENTS, KEEP_HOUSE_EVERY, SWEEP


FORGETS = "forget-downloads"
SWEEPS = "sweep-uploads"


@dataclass
class KeepHouseInput:
    """Where a former run was on its walk through all that is held."""

    place: Place = field(default_factory=Place)


@workflow.defn(name="KeepHouse")
class KeepHouse:
    """See the module."""

    @workflow.init
    def __init__(self, given: KeepHouseInput) -> None:
        self._place = given.place
        self._look_again = False

    @workflow.run
    async def run(self, _: KeepHouseInput) -> None:
        """Never return."""
        while True:
            self._look_again = False
            try:
                await self._go_round()
            except ActivityError as error:
                workflow.logger.warning("keeping house has to wait: %s", error.cause)
            info = workflow.info()
            if info.get_current_history_length() >= EVENTS or info.is_continue_as_new_suggested():
                workflow.continue_as_new(KeepHouseInput(self._place))
            await self._rest()

    @workflow.signal
    def look_again(self, *_: object) -> None:
        """There is something to put in order."""
        self._look_again = True

    async def _go_round(self) -> None:
        await workflow.execute_activity_method(HousekeepingActivities.end_rules, **DATABASE)
        place: Place | None = await workflow.execute_activity_method(
            HousekeepingActivities.restart_held_releases, self._place, **DATABASE
        )
        self._place = place or Place()
        # Version 0.1.0 had no such step.
        if workflow.patched(FORGETS):
            await workflow.execute_activity_method(HousekeepingActivities.forget_downloads, **DATABASE)
        if workflow.patched(SWEEPS):
            await workflow.execute_activity_method(UploadActivities.sweep_uploads, **SWEEP)

    async def _rest(self) -> None:
        try:
            await workflow.wait_condition(lambda: self._look_again, timeout=KEEP_HOUSE_EVERY)
        except TimeoutError:
            return
