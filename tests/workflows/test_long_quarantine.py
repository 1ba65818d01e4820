"""A quarantine of ten thousand files to which thousands of signals are sent: no run grows too long, nothing is lost.

Activities are fakes here, for time; the workflow, the server and the histories that are measured are real.
"""

# ruff: noqa: ARG002 - activities are called with what real ones need

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from activities.checks import CheckReport, CheckTask
from activities.decisions import Sifted, SignalBatch, SignalledDecision
from activities.description import ReleaseDescription
from activities.pages import LISTED, FilePage, Release
from activities.plan import PORTION, Plan
from activities.provenance import AttachReport
from activities.release import ReleaseStatus, SettledRelease, StoreReport
from koschey.embedded.temporal import LIMITS
from koschey.worker.connection import ensure_search_attributes
from tests.support.bound_processes import bound_program
from tests.support.temporal_cli import program
from tests.support.waiting import eventually
from workflows.names import TASK_QUEUE, quarantine_id
from workflows.options import SIGNALS
from workflows.quarantine import Quarantine, QuarantineInput

MOST_EVENTS = 5_000
LARGEST_PAYLOAD = 256 * 1024
ID = quarantine_id("long", "1.0")


@dataclass
class Release10k:
    """Activities of a release with many files, and what they were asked for."""

    files: int
    waits_for: int
    """Decisions after which it is released."""
    decided: list[str] = field(default_factory=list)
    stored: set[int] = field(default_factory=set)
    listed: list[int] = field(default_factory=list)
    attached: bool = False
    checked: int = 0
    faults: list[str] = field(default_factory=list)
    settled: int = 0
    sifted: list[int] = field(default_factory=list)
    broken: bool = False
    """The check cannot be run."""
    isolated: bool = True
    """Whether the check runs in a child process, and so in an activity of its own."""
    may_check: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the check gets on."""

    @activity.defn
    async def plan_round(self, page: FilePage) -> Plan:
        ids = [number for number in range(page.after + 1, self.files + 1) if number not in self.stored][:PORTION]
        self.listed.append(len(ids))
        due = ["names"] if self.checked < self.files else []
        return Plan(ids, not self.attached, [] if self.isolated else due, due if self.isolated else [])

    @activity.defn
    async def store_held_files(self, file_ids: list[int]) -> StoreReport:
        self.stored.update(file_ids)
        return StoreReport(len(file_ids), 0)

    @activity.defn
    async def attach_release(self, page: FilePage) -> AttachReport:
        self.attached = page.after + LISTED >= self.files
        return AttachReport(None if self.attached else page.after + LISTED, 0)

    @activity.defn
    async def check_release(self, task: CheckTask) -> CheckReport:
        if self.broken:
            raise ApplicationError("the child died", non_retryable=True)
        while not self.may_check.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.1)
        done = min(500, self.files - self.checked)
        self.checked += done
        return CheckReport(done, 0, self.checked < self.files)

    @activity.defn
    async def note_check_fault(self, task: CheckTask, cause: str) -> None:
        self.faults.append(f"{', '.join(task.checks)}: {cause}")

    @activity.defn
    async def settle_release(self, release: Release) -> SettledRelease:
        done = len(self.decided) >= self.waits_for
        self.settled += 1
        held = [] if done else list(range(1, self.files + 1))[:LISTED]
        unstored = self.files - len(self.stored)
        status = ReleaseStatus(
            held, [], "released" if done else "held", ["a test says so"], None, None, self.files, unstored
        )
        return SettledRelease(status, ReleaseDescription(file_count=self.files))

    @activity.defn
    async def sift_signals(self, batch: SignalBatch) -> Sifted:
        self.sifted.append(len(batch.candidates))
        return Sifted(chosen=list(range(len(batch.candidates))))

    @activity.defn
    async def decide_releases(self, decisions: list[SignalledDecision]) -> list[str]:
        self.decided += [decision.reason for decision in decisions]
        return ["done"] * len(decisions)

    @property
    def activities(self) -> list[Callable[..., Any]]:
        """All of them, bound."""
        return [
            *(self.plan_round, self.store_held_files, self.attach_release, self.check_release),
            *(self.note_check_fault, self.settle_release),
            *(self.decide_releases, self.sift_signals),
        ]


def quick(**given: Any) -> Release10k:
    """A release whose check gets on."""
    release = Release10k(**given)
    release.may_check.set()
    return release


@asynccontextmanager
async def working(release: Release10k, *, skips_time: bool = False, raised: bool = False) -> AsyncIterator[Client]:
    """A server, perhaps with the raised limits of ours, and a worker with these activities."""
    if skips_time:
        path = bound_program(program("temporal-test-server"))
        server = await WorkflowEnvironment.start_time_skipping(test_server_existing_path=path)
    else:
        # Of signals that pour in while a run ends, only the real server makes the senders wait.
        limits = [f"--dynamic-config-value={name}={value}" for name, value in LIMITS.items() if raised]
        server = await WorkflowEnvironment.start_local(
            dev_server_existing_path=bound_program(program("temporal")), dev_server_extra_args=limits
        )
    worker = Worker(
        server.client,
        task_queue=TASK_QUEUE,
        workflows=[Quarantine],
        activities=release.activities,
        max_concurrent_activities=20,
    )
    async with server:
        assert await ensure_search_attributes(server.client, "default")
        async with worker:
            yield server.client


async def start(client: Client, given: QuarantineInput | None = None) -> WorkflowHandle[Any, Any]:
    """Start the quarantine."""
    given = given or QuarantineInput("long", "1.0")
    return await client.start_workflow(Quarantine.run, given, id=ID, task_queue=TASK_QUEUE)


async def approve(workflow: WorkflowHandle[Any, Any], reason: str) -> None:
    """Send a signal. While a run closes to go on as a new one, the server takes none, and says so: try again."""
    while True:
        try:
            await workflow.signal("approve", {"reviewer": "admin", "reason": reason})
        except RPCError as error:
            if error.status is not RPCStatusCode.RESOURCE_EXHAUSTED:
                raise
        else:
            return


async def flood(workflow: WorkflowHandle[Any, Any], number: int) -> None:
    """Send signals that are no review, fifty at a time."""
    turns = asyncio.Semaphore(50)

    async def send() -> None:
        async with turns:
            await workflow.signal("reject", {"junk": 1})

    await asyncio.gather(*(send() for _ in range(number)))


async def has_gone_on(workflow: WorkflowHandle[Any, Any], before: str) -> bool:
    """Whether a later run than `before` is the current one, and has received no flood."""
    now = await workflow.describe()
    return now.run_id != before and now.history_length < SIGNALS


async def refresh(workflow: WorkflowHandle[Any, Any]) -> None:
    """Have the release judged again, unless it was judged after the last decision and the run has ended."""
    try:
        await workflow.signal("look_again")
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def all_runs(client: Client, first: str) -> list[WorkflowHistory]:
    """The histories of all runs, each of which went on as the next."""
    runs, run_id = [], first
    while run_id:
        runs.append(await client.get_workflow_handle(ID, run_id=run_id).fetch_history())
        last: HistoryEvent = runs[-1].events[-1]
        run_id = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return runs


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_thousand_files_and_five_thousand_signals() -> None:
    """Every signal is carried out once, every file is fetched once, and every run stays short (F12)."""
    release = quick(files=10_000, waits_for=5_000)
    async with working(release) as client:
        workflow = await start(client)
        turns = asyncio.Semaphore(2)

        async def send(number: int) -> None:
            async with turns:
                await approve(workflow, f"{number} " + "why " * 400)
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as sending:
            for number in range(5_000):
                sending.create_task(send(number))
        await eventually(lambda: len(release.decided) >= 5_000 and len(release.stored) == 10_000, seconds=800)
        await refresh(workflow)
        assert (await workflow.result()).state == "released"
        assert workflow.first_execution_run_id
        runs = await all_runs(client, workflow.first_execution_run_id)
    assert sorted(int(reason.split()[0]) for reason in release.decided) == list(range(5_000))
    assert release.stored == set(range(1, 10_001))
    assert max(release.listed) == PORTION
    lengths = [len(run.events) for run in runs]
    assert len(runs) >= 5
    assert max(lengths) <= MOST_EVENTS, lengths
    assert max(event.ByteSize() for run in runs for event in run.events) <= LARGEST_PAYLOAD
    await check_replays([runs[0], runs[len(runs) // 2], runs[-1]])


@pytest.mark.soak
async def test_burst_of_signals_is_carried_out_whole() -> None:
    """Two thousand signals at once, while a page of files is fetched: each is carried out, once, and in its order."""
    release = quick(files=300, waits_for=2_000)
    async with working(release) as client:
        workflow = await start(client)
        for first in range(0, 2_000, 100):
            numbers = range(first, first + 100)
            await asyncio.gather(*(approve(workflow, str(number)) for number in numbers))
        await eventually(lambda: len(release.decided) >= 2_000, seconds=120)
        await refresh(workflow)
        assert (await workflow.result()).state == "released"
    decided = [int(reason) for reason in release.decided]
    assert sorted(decided) == list(range(2_000))
    assert [number // 100 for number in decided] == sorted(number // 100 for number in decided)


@pytest.mark.soak
async def test_a_long_check_keeps_no_flooded_run_open() -> None:
    """While a check takes long, each flood of signals makes the run go on as a new one, which has it checked again.

    Temporal begins no task of a workflow while signals to it pour in: a run can be as long as one flood.
    """
    release = Release10k(files=10, waits_for=1)
    async with working(release, raised=True) as client:
        workflow = await start(client)
        await eventually(lambda: release.listed != [] and release.attached, seconds=120)
        for _ in range(2):
            before = (await workflow.describe()).run_id
            await flood(workflow, 3_000)
            await eventually(partial(has_gone_on, workflow, before), seconds=120)
        assert release.checked == 0
        await approve(workflow, "seen")
        await eventually(lambda: release.decided == ["seen"], seconds=120)
        release.may_check.set()
        await eventually(lambda: release.checked == 10, seconds=120)
        assert (await workflow.result()).state == "released"
        assert workflow.first_execution_run_id
        runs = await all_runs(client, workflow.first_execution_run_id)
    assert len(runs) >= 3
    assert max(len(run.events) for run in runs) <= MOST_EVENTS
    await check_replays(runs)


@pytest.mark.parametrize("isolated", [True, False])
async def test_check_that_cannot_run_is_told_and_tried_again(isolated: bool) -> None:
    """A check whose activity, dispatched or local, fails for good leaves a fault, and is run again six hours later."""
    release = quick(files=10, waits_for=1, broken=True, isolated=isolated)
    async with working(release, skips_time=True) as client:
        workflow = await start(client)
        await eventually(lambda: release.settled == 1, seconds=120)
        assert len(release.faults) == 1
        assert "the child died" in release.faults[0]
        release.broken = False
        release.decided.append("x")
        await asyncio.wait_for(workflow.result(), 60)
        description = await workflow.describe()
    assert release.checked == 10
    assert description.close_time
    assert timedelta(hours=6) <= description.close_time - description.start_time < timedelta(hours=7)


async def check_replays(runs: Sequence[WorkflowHistory]) -> None:
    """Every one of the runs is replayed without a difference."""
    for run in runs:
        await Replayer(workflows=[Quarantine]).replay_workflow(run)
