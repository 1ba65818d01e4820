"""One round of a quarantine: download missing files, attach provenance, run checks. Settling follows the round.

The round attaches provenance before any check runs, and does not leave that to `AttachProvenance`: a check that judges
attestations, or the publisher that they name, must have them when it first inspects a file. `AttachProvenance` remains
responsible for files that are not held. Whichever comes first does the work; the other finds it done.

The round plans again before each step, so a round without work costs one query. Koschey's own checks run together in
one local activity, because they share what is read of the files. Only if a predecessor has to be downloaded does an
activity of its own follow.
"""

import asyncio
from dataclasses import replace

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.checks import CheckActivities, CheckReport, CheckTask
    from activities.pages import FilePage
    from activities.plan import Plan, PlanActivities
    from activities.provenance import AttachReport, ProvenanceActivities
    from activities.release import ReleaseActivities, StoreReport
    from workflows.options import CHECK, EVENTS, FETCH, LOOK, PROVENANCE, READ, STEP_FAILURES


def is_full() -> bool:
    """Return whether this run has had enough events, and must continue as a new one."""
    info = workflow.info()
    return info.get_current_history_length() >= EVENTS or info.is_continue_as_new_suggested()


class Round:
    """One round. If the run is full, the round stops; the next run continues after `stored_to`."""

    def __init__(self, project: str, version: str, stored_to: int, *, is_whole: bool) -> None:
        self._project = project
        self._version = version
        self.stored_to = stored_to
        """The id up to which files were downloaded, or their download has failed."""
        self.is_whole = is_whole
        """Whether nothing that is worth a retry has failed so far."""

    async def go(self) -> None:
        """Go as far as the events of this run allow. Raises `STEP_FAILURES` if PostgreSQL was away for too long."""
        plan = await self._plan()
        while plan.unstored and not is_full():
            await self._store(plan.unstored)
            plan = await self._plan()
        if plan.unattested and not is_full():
            await self._attach()
            plan = await self._plan()
        if (plan.checks or plan.isolated) and not is_full():
            await self._check(plan)

    async def _plan(self) -> Plan:
        plan: Plan = await workflow.execute_local_activity_method(
            PlanActivities.plan_round, FilePage(self._project, self._version, self.stored_to), **READ
        )
        return plan

    async def _store(self, ids: list[int]) -> None:
        """Download files. A file whose download fails stays held; a long download keeps no run open."""
        storing = asyncio.create_task(self._store_all(ids))
        await workflow.wait_condition(lambda: storing.done() or is_full())
        # An activity in progress ends with this run. The next run requests it again, and finds it done or does it.
        if storing.done():
            storing.result()
            self.stored_to = ids[-1]

    async def _store_all(self, ids: list[int]) -> None:
        try:
            report: StoreReport = await workflow.execute_activity_method(
                ReleaseActivities.store_held_files, ids, **FETCH
            )
        except STEP_FAILURES:
            self.is_whole = False
        else:
            self.is_whole = self.is_whole and not report.failed

    async def _attach(self) -> None:
        after: int | None = 0
        while after is not None and not is_full():
            try:
                report: AttachReport = await workflow.execute_activity_method(
                    ProvenanceActivities.attach_release, FilePage(self._project, self._version, after), **PROVENANCE
                )
            except STEP_FAILURES:
                self.is_whole = False
                return
            self.is_whole = self.is_whole and not report.unanswered
            after = report.last

    async def _check(self, plan: Plan) -> None:
        """Run Koschey's own checks first, because they read the archives; then the others at once."""
        if plan.checks:
            await self._run_checks(self._task(plan.checks, downloads=False))
        await asyncio.gather(*(self._run_checks(self._task([name], downloads=True)) for name in plan.isolated))

    def _task(self, checks: list[str], *, downloads: bool) -> CheckTask:
        return CheckTask(self._project, self._version, checks, downloads)

    async def _run_checks(self, task: CheckTask) -> None:
        """Run checks until they have inspected every file, or as far as the events of this run allow."""
        while not is_full():
            try:
                report = await self._inspect(task)
            except STEP_FAILURES as error:
                await self._note_fault(task, str(error.cause or error))
                return
            self.is_whole = self.is_whole and not report.faults
            if not report.left:
                return
            if not report.checked and not report.faults:
                if task.downloads:
                    await self._note_fault(task, "it inspects no file, although some are left")
                    return
                task = replace(task, downloads=True)

    async def _inspect(self, task: CheckTask) -> CheckReport:
        """Run checks: in a local activity, at little cost for Temporal, if they download nothing."""
        report: CheckReport
        if not task.downloads:
            report = await workflow.execute_local_activity_method(CheckActivities.check_release, task, **LOOK)
        else:
            report = await workflow.execute_activity_method(
                CheckActivities.check_release, task, summary=", ".join(task.checks)[:200], **CHECK
            )
        return report

    async def _note_fault(self, task: CheckTask, cause: str) -> None:
        self.is_whole = False
        await workflow.execute_local_activity_method(CheckActivities.note_check_fault, args=[task, cause[:500]], **READ)
