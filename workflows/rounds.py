"""One round of a quarantine: fetch what is missing, attach provenance, have checks look. Settling comes after it.

Provenance is attached here, before any check runs, and not left to `AttachProvenance`: a check that judges
attestations, or the publisher that they name, must have them before it the first time it looks. `AttachProvenance`
goes on for what nobody holds; whichever comes first does the work, the other finds it done.

What is to be done is asked before each step, so a round that finds nothing to do is one question.
"""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.checks import CheckActivities, CheckReport, CheckTask
    from activities.pages import Page
    from activities.plan import Plan, PlanActivities
    from activities.provenance import AttachReport, ProvenanceActivities
    from activities.release import ReleaseActivities, StoreReport
    from workflows.options import CHECK, EVENTS, FETCH, LOOK, PROVENANCE, READ


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
        plan = await self._plan()
        while plan.unstored and not is_full():
            await self._store(plan.unstored)
            plan = await self._plan()
        if plan.unattested and not is_full():
            await self._attach()
            plan = await self._plan()
        if plan.checks and not is_full():
            await self._check(plan)

    async def _plan(self) -> Plan:
        plan: Plan = await workflow.execute_local_activity_method(
            PlanActivities.plan_round, Page(self._project, self._version, self.stored_to), **READ
        )
        return plan

    async def _store(self, ids: list[int]) -> None:
        """Fetch files. One that cannot be fetched stays held; one that takes long keeps no run open."""
        storing = asyncio.create_task(self._store_all(ids))
        await workflow.wait_condition(lambda: storing.done() or is_full())
        # What is under way ends with this run; the next one asks for it again, and finds it done or does it.
        if storing.done():
            storing.result()
            self.stored_to = ids[-1]

    async def _store_all(self, ids: list[int]) -> None:
        try:
            report: StoreReport = await workflow.execute_activity_method(
                ReleaseActivities.store_held_files, ids, **FETCH
            )
        except ActivityError:
            self.is_whole = False
        else:
            self.is_whole = self.is_whole and not report.failed

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

    async def _check(self, plan: Plan) -> None:
        """Run checks side by side, once the first has had the archives read; the others find what it read."""
        first, *others = plan.checks
        await self._run_check(first, plan)
        await asyncio.gather(*(self._run_check(name, plan) for name in others))

    async def _run_check(self, name: str, plan: Plan) -> None:
        """Run one check until it has seen every file, or as far as the events of this run allow."""
        task = CheckTask(self._project, self._version, name)
        while not is_full():
            try:
                report = await self._look(task, quick=name in plan.quick)
            except ActivityError as error:
                await self._note_fault(task, str(error.cause or error))
                return
            self.is_whole = self.is_whole and not report.faults
            if not report.left:
                return
            if not report.checked and not report.faults:
                await self._note_fault(task, "it leaves files unseen, and looks at none")
                return

    async def _look(self, task: CheckTask, *, quick: bool) -> CheckReport:
        """Have a check look. A quick one does so beside the workflow, which costs Temporal next to nothing."""
        report: CheckReport
        if quick:
            report = await workflow.execute_local_activity_method(CheckActivities.check_release, task, **LOOK)
        else:
            report = await workflow.execute_activity_method(
                CheckActivities.check_release, task, summary=task.check, **CHECK
            )
        return report

    async def _note_fault(self, task: CheckTask, cause: str) -> None:
        self.is_whole = False
        await workflow.execute_local_activity_method(CheckActivities.note_check_fault, args=[task, cause[:500]], **READ)
