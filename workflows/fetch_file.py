"""Finishes the download of a file whose process died before its end."""

from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.release import FetchActivities
    from workflows.options import FETCH


@dataclass
class FetchFileInput:
    """The file to download."""

    file_id: int


@workflow.defn(name="FetchFile")
class FetchFile:
    """Downloads one file into the bucket."""

    @workflow.run
    async def run(self, given: FetchFileInput) -> str:
        """Return the SHA-256 of the stored bytes, or why the file was not downloaded."""
        stored: str = await workflow.execute_activity_method(FetchActivities.store_wanted_file, given.file_id, **FETCH)
        return stored
