"""One round of a quarantine: fetch what is missing, attach provenance, have checks look. Settling comes after it.

Provenance is attached here, before any check runs, and not left to `AttachProvenance`: a check that judges
attestations, or the publisher that they name, must have them before it the first time it looks. `AttachProvenance`
goes on for what nobody holds; whichever comes first does the work, the other finds it done.
"""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.checks import CheckActivities, CheckReport, CheckTask
    from activities.provenance import AttachReport, ProvenanceActivities
    from activities.release import Page, ReleaseActivities
    from workflows.options import CHECK, DATABASE, EVENTS, FETCH, FILES_AT_ONCE, PROVENANCE


def is_full() -> bool:
    """Tell whether this run has had enough events, and is to go on as a new one."""
    info = workflow.info()
    return info.get_current_history_length() >= EVENTS or info.is_continue_as_new_suggested()


class Round:
    """One round. When the run is full it stops where it is; the next run goes on after `stored_to`."""

    def __init__(self, project: str, version: str, stored_to: int, *, is_whole: bool) -> None:
        self._project = project
        self._version = version
        self.stored_to = stored_to
        """The id up to which files were fetched, or found impossible to fetch."""
        self.is_whole = is_whole
        """Whether nothing has failed so far that is to be tried again."""

    async def go(self) -> None:
        """Go as far as the events of this run allow. Raises `ActivityError` where PostgreSQL was away for too long."""
        for step in (self._store, self._attach, self._check):
            if not is_full():
                await step()

    async def _store(self) -> None:
        while not is_full():
            page = Page(self._project, self._version, self.stored_to)
            ids: list[int] = await workflow.execute_activity_method(
                ReleaseActivities.list_unstored_files, page, **DATABASE
            )
            if not ids:
                return
            await self._store_page(ids)

    async def _store_page(self, ids: list[int]) -> None:
        """Fetch files, a few at once. One that cannot be fetched stays held; one that takes long keeps no run open."""
        turns = asyncio.Semaphore(FILES_AT_ONCE)
        open_ids = dict.fromkeys(ids)

        async def store(file_id: int) -> None:
            async with turns:
                try:
                    await workflow.execute_activity_method(ReleaseActivities.store_held_file, file_id, **FETCH)
                except ActivityError:
                    self.is_whole = False
                del open_ids[file_id]

        storing = asyncio.gather(*(store(file_id) for file_id in ids))
        await workflow.wait_condition(lambda: storing.done() or is_full())
        if storing.done():
            storing.result()
        # What is under way ends with this run; the next one asks for it again, and finds it done or does it.
        self.stored_to = min(open_ids, default=ids[-1] + 1) - 1

    async def _attach(self) -> None:
        after: int | None = 0
        while after is not None and not is_full():
            try:
                report: AttachReport = await workflow.execute_activity_method(
                    ProvenanceActivities.attach_release, Page(self._project, self._version, after), **PROVENANCE
                )
            except ActivityError:
                self.is_whole = False
                return
            self.is_whole = self.is_whole and not report.unanswered
            after = report.last

    async def _check(self) -> None:
        names: list[str] = await workflow.execute_activity_method(CheckActivities.list_checks, **DATABASE)
        # One after the other, in their order: what the first one reads of an archive, the others find read.
        for name in names:
            await self._run_check(CheckTask(self._project, self._version, name))

    async def _run_check(self, task: CheckTask) -> None:
        """Run one check until it has seen every file, or as far as the events of this run allow."""
        while not is_full():
            try:
                report: CheckReport = await workflow.execute_activity_method(
                    CheckActivities.check_release, task, summary=task.check, **CHECK
                )
            except ActivityError as error:
                await self._note_fault(task, str(error.cause or error))
                return
            self.is_whole = self.is_whole and not report.faults
            if not report.left:
                return
            if not report.checked and not report.faults:
                await self._note_fault(task, "it leaves files unseen, and looks at none")
                return

    async def _note_fault(self, task: CheckTask, cause: str) -> None:
        self.is_whole = False
        await workflow.execute_activity_method(CheckActivities.note_check_fault, args=[task, cause[:500]], **DATABASE)
