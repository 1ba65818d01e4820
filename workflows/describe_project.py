"""Reads the core metadata of a project's wheels if the upstream gives none, a few at a time, the newest first.

It decides nothing, and no file depends on it: without core metadata beside a wheel, installers read the wheel itself.

Signal `look_again`: the upstream lists more wheels.
"""

from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.metadata import MetadataActivities
    from workflows.options import FETCH, FETCH_AGAIN_IN


@dataclass
class DescribeProjectInput:
    """The project whose wheels are read."""

    project: str


@workflow.defn(name="DescribeProject")
class DescribeProject:
    """Reads the core metadata of one project's wheels."""

    def __init__(self) -> None:
        self._look_again = False

    @workflow.run
    async def run(self, given: DescribeProjectInput) -> int:
        """Return the number of steps until no wheel was left."""
        steps = 0
        while True:
            self._look_again = False
            steps += 1
            try:
                more: bool = await workflow.execute_activity_method(
                    MetadataActivities.describe_wheels, given.project, **FETCH
                )
            except ActivityError:
                await self._wait_for_signal()
                more = True
            if not more and not self._look_again:
                return steps
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(given)

    @workflow.signal
    def look_again(self) -> None:
        """Continue: the upstream lists more wheels."""
        self._look_again = True

    async def _wait_for_signal(self) -> None:
        """Wait for a signal, at most `FETCH_AGAIN_IN`, because the upstream did not answer."""
        try:
            await workflow.wait_condition(lambda: self._look_again, timeout=FETCH_AGAIN_IN)
        except TimeoutError:
            return
