"""Runs of a workflow type that an earlier version had: ended and started again once, and nothing they held is lost."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from koschey.model import Actor
from koschey.quarantine import reviewer_codes
from koschey.quarantine.decide import decide
from koschey.quarantine.decision import Choice, Decision
from koschey.worker.superseded import SUPERSEDED, SupersededRuns
from tests.support.koschey_up import Koschey
from tests.support.temporal_cli import temporal
from tests.support.time_skipping import SkippingKoschey, code_for, forging, hold, wait_until_resting
from tests.support.upstream.server import Upstream
from tests.support.waiting import eventually
from workflows.names import HOUSEKEEPING_ID, TASK_QUEUE, quarantine_id

WORKFLOWS_NOW = Path(__file__).parents[2] / "workflows"


@workflow.defn(name="QuarantineRelease")
class Earlier:
    """A quarantine of an earlier version: it receives signals, and does nothing with them."""

    @workflow.run
    async def run(self, _: Any) -> None:
        """Wait until it is ended."""
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def approve(self, *_: Any) -> None:
        """Receive."""

    @workflow.signal
    def reject(self, *_: Any) -> None:
        """Receive."""


async def start_earlier(
    index: SkippingKoschey, project: str, kind: str = "QuarantineRelease"
) -> WorkflowHandle[Any, Any]:
    """Have the quarantine of a release driven by an earlier type, as if that version had begun it."""
    now = index.workflow(project, "1.0")
    await wait_until_resting(now)
    await now.terminate("an earlier version runs")
    given = {"project": project, "version": "1.0"}
    return await index.environment.client.start_workflow(
        kind, given, id=quarantine_id(project, "1.0"), task_queue=TASK_QUEUE
    )


def earlier_worker(index: SkippingKoschey) -> Worker:
    """A worker of the earlier version. The sandbox would import this module again, with all that it imports."""
    return Worker(
        index.environment.client,
        task_queue=TASK_QUEUE,
        workflows=[Earlier],
        workflow_runner=UnsandboxedWorkflowRunner(),
        build_id="earlier",
    )


async def be_seen(index: SkippingKoschey, number: int) -> None:
    """Wait until Temporal's list shows so many runs of earlier types."""
    names = ", ".join(f"'{name}'" for name in SUPERSEDED)

    async def shown() -> bool:
        query = f"ExecutionStatus = 'Running' AND WorkflowType IN ({names})"
        return (await index.environment.client.count_workflows(query)).count == number

    await eventually(shown)


async def runs_of(index: SkippingKoschey, project: str) -> list[str]:
    """Return the workflow types of all runs of a quarantine, the oldest first."""
    client = index.environment.client
    found = [run async for run in client.list_workflows(f"WorkflowId = '{quarantine_id(project, '1.0')}'")]
    return [run.workflow_type for run in sorted(found, key=lambda run: run.start_time)]


def replacing(index: SkippingKoschey) -> SupersededRuns:
    """What a worker does."""
    return SupersededRuns(index.resources.pool, index.environment.client, searchable=True)


async def test_an_earlier_run_is_replaced_once_and_settled_by_its_rows(koschey: Koschey, upstream: Upstream) -> None:
    """Two workers replace it once; what is held stays held, what is due is released, and other runs are left alone."""
    async with forging(koschey, upstream, "code", skips=False) as index:
        held, due = await hold(index, upstream, "earlier-held"), await hold(index, upstream, "earlier-due")
        await hold(index, upstream, "earlier-other")
        other = (await index.workflow("earlier-other", "1.0").describe()).run_id
        await index.stop_worker()
        earlier = [await start_earlier(index, "earlier-held"), await start_earlier(index, "earlier-due", "Quarantine")]
        house = await index.environment.client.start_workflow("KeepHouse", {}, id="keep-house", task_queue=TASK_QUEUE)
        elsewhere = await index.environment.client.start_workflow(
            "QuarantineRelease", {}, id="not-ours", task_queue="another"
        )
        async with index.resources.pool.acquire() as connection, connection.transaction():
            longer = Decision(Choice.EXTEND, canonicalize_name("earlier-held"), "1.0", "we read it", days=30)
            await decide(connection, Actor("rita", "api"), longer)
            await connection.execute("UPDATE test_clock SET ahead = interval '8 days'")
        await be_seen(index, 4)
        counts = await asyncio.gather(replacing(index).replace_all(), replacing(index).replace_all())
        assert sum(counts) == 3
        assert await replacing(index).replace_all() == 0
        for ended in (*earlier, house):
            closed = index.environment.client.get_workflow_handle(ended.id, run_id=ended.result_run_id)
            assert (await closed.describe()).status is WorkflowExecutionStatus.TERMINATED
        assert (await elsewhere.describe()).status is WorkflowExecutionStatus.RUNNING
        await index.start_worker()
        await index.wait_for_state(due.filename, "released")
        await eventually(lambda: index.workflow("earlier-held", "1.0").query("status"))
        assert (await index.state_of(held.filename))[0] == "held"
        assert await runs_of(index, "earlier-held") == ["HeldRelease", "QuarantineRelease", "HeldRelease"]
        assert (await index.workflow("earlier-other", "1.0").describe()).run_id == other


async def test_what_an_earlier_run_had_not_decided_is_decided(
    koschey: Koschey, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code that was received in time decides, also later and where the old run had received it; junk does not."""
    monkeypatch.setattr(reviewer_codes, "LIFETIME", timedelta(seconds=10))
    async with forging(koschey, upstream, "code", skips=False) as index:
        file = await hold(index, upstream, "s-coded")
        await index.stop_worker()
        earlier = await start_earlier(index, "s-coded")
        async with earlier_worker(index):
            review = await code_for(index, Choice.APPROVE, "s-coded")
            for junk in (None, {"reviewer": "rita", "reason": "no code"}, {**review, "code": "0123456789"}):
                await earlier.signal("approve", junk)
            await earlier.signal("approve", review)
            await wait_until_resting(earlier)
        await be_seen(index, 1)
        await asyncio.sleep(11)
        assert await replacing(index).replace_all() == 1
        await index.start_worker()
        await index.wait_for_state(file.filename, "released")
        assert await index.resources.pool.fetchval("SELECT count(*) FROM decision WHERE project = 's-coded'") == 1


async def test_without_codes_only_what_no_run_received_is_decided(koschey: Koschey, upstream: Upstream) -> None:
    """Where Temporal is trusted, an approval that the old run had received may be older than a block: it is left."""
    async with forging(koschey, upstream, "trusted", skips=False) as index:
        old, new = await hold(index, upstream, "s-received"), await hold(index, upstream, "s-unseen")
        await index.stop_worker()
        received, unseen = await start_earlier(index, "s-received"), await start_earlier(index, "s-unseen")
        review = {"reviewer": "rita", "reason": "seen"}
        async with earlier_worker(index):
            await received.signal("approve", review)
            await asyncio.gather(wait_until_resting(received), wait_until_resting(unseen))
        await unseen.signal("approve", review)
        await be_seen(index, 2)
        assert await replacing(index).replace_all() == 2
        await index.start_worker()
        await index.wait_for_state(new.filename, "released")
        await eventually(lambda: index.workflow("s-received", "1.0").query("status"))
        assert (await index.state_of(old.filename))[0] == "held"


@pytest.mark.soak
def test_a_running_worker_replaces_them(koschey: Koschey, upstream: Upstream) -> None:
    """The worker of `koschey up` does so by itself, and its housekeeping runs under the present name."""
    described = temporal(koschey, "workflow", "describe", "--workflow-id", HOUSEKEEPING_ID)
    assert "Housekeeping" in described
    temporal(koschey, *_start("KeepHouse", "keep-house"))
    temporal(koschey, *_start("QuarantineRelease", "quarantine/s-unknown/1.0"))
    temporal(koschey, *_start("QuarantineRelease", "quarantine/S_Imposter/../1.0"))
    began = datetime.now(UTC)
    while "Terminated" not in _all(koschey) or "Running" in _all(koschey):
        assert datetime.now(UTC) - began < timedelta(minutes=3)
    listed = temporal(koschey, "workflow", "list", "--query", "WorkflowType = 'HeldRelease'")
    assert "quarantine/s-unknown/1.0" in listed
    assert "Imposter" not in listed


def _start(kind: str, name: str) -> tuple[str, ...]:
    given = '{"project": "s-unknown", "version": "1.0"}'
    return "workflow", "start", "--type", kind, "--workflow-id", name, "--task-queue", TASK_QUEUE, "--input", given


def _all(koschey: Koschey) -> str:
    names = ", ".join(f"'{name}'" for name in SUPERSEDED)
    return temporal(koschey, "workflow", "list", "--query", f"WorkflowType IN ({names})")


def test_no_workflow_has_a_superseded_name() -> None:
    """A name that was given up is never used again: a run of it would be ended."""
    sources = "".join(path.read_text() for path in WORKFLOWS_NOW.glob("*.py"))
    assert not [name for name in SUPERSEDED if f'name="{name}"' in sources]
