"""A flood of signals to a quarantine keeps no reviewer waiting, neither in Temporal nor at any other door."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from koschey.auth.codes import new_code
from koschey.embedded.temporal import LIMITS
from koschey.model import quarantine_id
from koschey.quarantine.decision import Choice
from koschey.worker.wiring import QUICK_RUNNER
from tests.support.koschey_up import Koschey, wait_until
from tests.support.releases import hold_settled
from tests.support.temporal_cli import review, temporal
from tests.support.time_skipping import add_account, code_for, new_database, skipping
from tests.support.upstream.server import Upstream
from tests.support.waiting import eventually
from workflows.options import SIGNALS

COMPOSE = Path(__file__).parents[2] / "docker" / "compose.yaml"
FLOOD = 5_000
AT_ONCE = 50
PATIENCE = 30
"""Seconds within which a decision takes effect, beside five others who use the machine."""
KINDS: dict[str, Callable[[int], tuple[str, list[object]]]] = {
    "junk": lambda n: ("approve", [{"junk": n}]),
    "wrong codes": lambda n: ("approve", [{"reviewer": "admin", "reason": "x" * (n % 2000), "code": new_code()}]),
    "no codes": lambda n: ("reject", [{"reviewer": f"somebody {n}", "reason": "let it out"}]),
    "wakes": lambda _: ("look_again", []),
    "unknown": lambda n: (f"unknown {n % 7}", [n]),
}


async def flood(
    workflow: WorkflowHandle[Any, Any], kind: str, number: int = FLOOD, at_once: int = AT_ONCE
) -> Counter[str]:
    """Send signals as fast as it goes; returns the errors that remain once the client has tried again."""
    turns, errors = asyncio.Semaphore(at_once), Counter[str]()

    async def send(n: int) -> None:
        async with turns:
            name, given = KINDS[kind](n)
            try:
                await workflow.signal(name, args=given)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:  # it is decided, and over
                    errors[str(error)] += 1

    await asyncio.gather(*(send(n) for n in range(number)))
    return errors


async def handle_of(koschey: Koschey, project: str) -> WorkflowHandle[Any, Any]:
    client = await Client.connect(koschey.settings["KOSCHEY_TEMPORAL_ADDRESS"])
    return client.get_workflow_handle(quarantine_id(project, "1.0"))


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
async def test_a_flood_does_not_starve_a_decision(koschey: Koschey, upstream: Upstream, kind: str) -> None:
    """In the midst of thousands of signals an approval with a code takes effect, and no signal is refused."""
    project = f"flood-{kind.replace(' ', '-')}"
    [file] = await asyncio.to_thread(hold_settled, koschey, upstream, project, "1.0")
    given = await asyncio.to_thread(review, koschey, "approve", (project, "1.0"))
    workflow = await handle_of(koschey, project)
    flooding = asyncio.create_task(flood(workflow, kind))
    await asyncio.sleep(1)
    await workflow.signal("approve", given)
    await asyncio.to_thread(wait_until, lambda: koschey.state_of(file.filename) == "released", timeout=PATIENCE)
    assert await flooding == {}


@pytest.mark.soak
async def test_other_doors_do_not_depend_on_it(koschey: Koschey, upstream: Upstream) -> None:
    """While a workflow is flooded the command line decides about its release as ever, and so does its update."""
    [file] = await asyncio.to_thread(hold_settled, koschey, upstream, "flood-cli", "1.0")
    [other] = await asyncio.to_thread(hold_settled, koschey, upstream, "flood-update", "1.0")
    given = await asyncio.to_thread(review, koschey, "approve", ("flood-update", "1.0"))
    update = await handle_of(koschey, "flood-update")
    flooding = [
        asyncio.create_task(flood(workflow, "wrong codes", FLOOD // 2))
        for workflow in (await handle_of(koschey, "flood-cli"), update)
    ]
    await asyncio.sleep(1)
    await asyncio.to_thread(koschey.run, "approve", "flood-cli==1.0", "--reason", "seen")
    assert await asyncio.to_thread(koschey.state_of, file.filename) == "released"
    answer = await asyncio.wait_for(update.execute_update("decide", {"choice": "approve", **given}), PATIENCE)
    assert answer.startswith("serial ")
    assert await asyncio.to_thread(koschey.state_of, other.filename) == "released"
    assert await asyncio.gather(*flooding) == [{}, {}]


@pytest.mark.soak
async def test_signals_are_sifted_together(koschey: Koschey, upstream: Upstream) -> None:
    """Thousands of wrong codes cost a few activities, runs stay short, and the answers say how many there were."""
    await asyncio.to_thread(hold_settled, koschey, upstream, "flood-counted", "1.0")
    workflow = await handle_of(koschey, "flood-counted")
    first = (await workflow.describe()).run_id
    assert await flood(workflow, "wrong codes", 3_000) == {}

    async def has_gone_on() -> bool:
        return (await workflow.describe()).run_id != first

    await eventually(has_gone_on)
    kinds: Counter[int] = Counter()
    lengths, run_id = [], first
    client = await Client.connect(koschey.settings["KOSCHEY_TEMPORAL_ADDRESS"])
    while run_id:
        run = await client.get_workflow_handle(workflow.id, run_id=run_id).fetch_history()
        kinds.update(event.event_type for event in run.events)
        lengths.append(len(run.events))
        run_id = run.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    assert kinds[EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED] >= 3_000
    assert kinds[EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED] < 300
    assert len(lengths) >= 2
    answers = json.loads(temporal(koschey, "workflow", "query", "-w", workflow.id, "--name", "answers", "-o", "json"))
    assert "there is no such code" in json.dumps(answers)
    counted = "SELECT count(*) FROM login_trace WHERE kind = 'code' AND subject = 'flood-counted==1.0'"
    assert await asyncio.to_thread(koschey.fetch_value, counted) == 1


@pytest.mark.soak
async def test_a_backlog_that_no_worker_has_read(koschey: Koschey, upstream: Upstream) -> None:
    """Thousands of signals that came while no worker ran are read in one task, with the approval behind them."""
    database = await new_database(koschey, f"flooded_{next(NUMBERS)}")
    async with skipping(koschey, database, upstream.url, skips=False, runner=QUICK_RUNNER) as index:
        await add_account(index, "rita", "reviewer", "*")
        file = upstream.add("flood-unread", "1.0", upload_time=datetime.now(UTC))
        assert await index.see("flood-unread") == []
        await index.wait_until_stored(file.filename)
        workflow = index.workflow("flood-unread", "1.0")
        await index.stop_worker()
        assert await flood(workflow, "wrong codes", 6_000) == {}
        await workflow.signal("approve", await code_for(index, Choice.APPROVE, "flood-unread"))
        await index.start_worker()
        await index.wait_for_state(file.filename, "released")


NUMBERS = itertools.count()


def test_every_temporal_of_ours_has_the_limits() -> None:
    """What `koschey up` sets, the Compose file sets too."""
    compose = yaml.safe_load(COMPOSE.read_text())
    limits = yaml.safe_load(compose["configs"]["temporal"]["content"])
    assert {name: limits[name][0]["value"] for name in LIMITS} == LIMITS
    assert SIGNALS < 10_000
