"""Finishes the fetch of a file whose process died in the middle."""

from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.release import FetchActivities
    from workflows.options import FETCH


@dataclass
class FetchFileInput:
    """Which file."""

    file_id: int


@workflow.defn(name="FetchFile")
class FetchFile:
    """See the module."""

    @workflow.run
    async def run(self, given: FetchFileInput) -> str:
        """Return the sha256 of the stored bytes."""
        stored: str = await workflow.execute_activity_method(FetchActivities.store_wanted_file, given.file_id, **FETCH)
        return stored
