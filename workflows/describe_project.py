"""Reads the core metadata of a project's wheels where the upstream gives none, a few at a time, the newest first.

It decides nothing, and no file waits for it: without core metadata beside a wheel, installers read the wheel itself.

Signal `look_again`: there are more wheels.
"""

from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.metadata import MetadataActivities
    from workflows.options import FETCH, FETCH_AGAIN_IN


@dataclass
class DescribeProjectInput:
    """Which project."""

    project: str


@workflow.defn(name="DescribeProject")
class DescribeProject:
    """See the module."""

    def __init__(self) -> None:
        self._look_again = False

    @workflow.run
    async def run(self, given: DescribeProjectInput) -> int:
        """Return how many steps it took until no wheel was left."""
        steps = 0
        while True:
            self._look_again = False
            steps += 1
            try:
                more: bool = await workflow.execute_activity_method(
                    MetadataActivities.describe_wheels, given.project, **FETCH
                )
            except ActivityError:
                await self._rest()
                more = True
            if not more and not self._look_again:
                return steps
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(given)

    @workflow.signal
    def look_again(self) -> None:
        """The upstream lists more wheels."""
        self._look_again = True

    async def _rest(self) -> None:
        """Let an upstream that does not answer rest."""
        try:
            await workflow.wait_condition(lambda: self._look_again, timeout=FETCH_AGAIN_IN)
        except TimeoutError:
            return
