"""What whoever reaches Temporal can send to a quarantine: it changes nothing that a reviewer may not change."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from running import Koschey
from skipping import SkippingKoschey, new_database, skipping, wait_until_resting
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError
from upstream import Upstream, UpstreamFile

from koschey.db.accounts import insert_grant, upsert_account
from koschey.publish.sweep import FIRST, restart_held
from workflows.names import TASK_QUEUE, quarantine_id

DAY = timedelta(days=1)
NUMBERS = itertools.count()
SEED = 20261125


@pytest.fixture
async def index(koschey: Koschey, upstream: Upstream) -> AsyncIterator[SkippingKoschey]:
    """An index with a reviewer, an uploader, and a reviewer of another project."""
    database = await new_database(koschey, f"forged_{next(NUMBERS)}")
    async with skipping(koschey, database, upstream.url) as running:
        await add_account(running, "rita", "reviewer", "*")
        await add_account(running, "ulf", "uploader", "*")
        await add_account(running, "elsa", "reviewer", "elsewhere")
        yield running


async def add_account(index: SkippingKoschey, name: str, role: str, scope: str) -> None:
    """Add an account with one grant."""
    async with index.resources.pool.acquire() as connection:
        await insert_grant(connection, await upsert_account(connection, name, None), role, scope)


async def hold(index: SkippingKoschey, upstream: Upstream, project: str) -> UpstreamFile:
    """Have a release of this moment held, fetched and waiting."""
    file = upstream.add(project, "1.0", upload_time=datetime.now(UTC))
    assert await index.see(project) == []
    await index.wait_until_stored(file.filename)
    return file


async def until(what: Callable[[], Any]) -> Any:
    """Ask until the answer is true."""
    async with asyncio.timeout(30):
        while not (answer := await what()):
            await asyncio.sleep(0.05)
    return answer


async def count(index: SkippingKoschey, query: str, *values: object) -> int:
    """Count rows."""
    found: int = await index.resources.pool.fetchval(f"SELECT count(*) FROM {query}", *values)  # noqa: S608
    return found


def forgeries(random_: random.Random, number: int) -> list[tuple[str, list[object]]]:
    """Signals of people who do not exist or may not decide, of wrong types and of monstrous size."""
    reviewers = [
        "nobody",
        "ulf",
        "elsa",
        "system",
        "RITA",
        "rita\0",
        "",
        "'; DROP TABLE standing; --",
        "rita ",
        "\ud800",
    ]
    reason = {"reason": "let it out", "days": 1}
    shapes: list[Callable[[], list[object]]] = [
        lambda: [{"reviewer": random_.choice(reviewers), **reason}],
        lambda: [
            {"reviewer": random_.choice(reviewers), **reason, "reason": "x" * random_.choice([0, 3_000, 300_000])}
        ],
        lambda: [random_.choice([None, 7, True, "approve", [], [{"reviewer": "rita", "reason": "x"}], {}])],
        lambda: [{"reviewer": random_.choice([7, None, ["rita"], {"name": "rita"}]), **reason}],
        lambda: [{"reviewer": "rita", "reason": random_.choice([7, None, ["x"]])}],
        list,
        lambda: [{"reviewer": "nobody", **reason}, {"reviewer": "rita", **reason}],
        lambda: [{"reviewer": "rita", "reason": " \n"}],
        lambda: [{"reviewer": "rita", "reason": "a \0 in it"}],
        lambda: [{"reviewer": "rita\0", **reason, "choice": "approve", "project": "other", "version": "9"}],
    ]
    names = ["approve", "reject", "extend", "look_again", "decide", "unblock", "__init__"]
    return [(random_.choice(names[:3] if n % 4 else names), random_.choice(shapes)()) for n in range(number)]


async def test_a_hundred_forged_signals_change_nothing(index: SkippingKoschey, upstream: Upstream) -> None:
    """Neither state nor journal nor decisions move, the workflow goes on, and time releases as it would have (Q11)."""
    file = await hold(index, upstream, "z-forged")
    workflow = index.workflow("z-forged", "1.0")
    before = await count(index, "journal"), await count(index, "decision"), await index.state_of(file.filename)
    for name, given in forgeries(random.Random(SEED), 100):
        await workflow.signal(name, args=given)
    await workflow.signal("approve", {"reviewer": "nobody", "reason": "the last"})
    await until(lambda: _answers_with(workflow, "nobody: refused"))
    await asyncio.sleep(0.5)
    after = await count(index, "journal"), await count(index, "decision"), await index.state_of(file.filename)
    assert after == before
    await index.pass_time(8 * DAY)
    assert await index.wait_for_state(file.filename, "released") == "the quarantine window ended"


async def _answers_with(workflow: Any, words: str) -> list[str]:
    return [answer for answer in await workflow.query("answers") if words in answer]


async def test_a_signal_sent_twice_writes_one_decision(index: SkippingKoschey, upstream: Upstream) -> None:
    """However often, and at once or later, the same decision is sent: there is one decision, and one journal row."""
    for project, name, action in (
        ("z-app", "approve", "approve"),
        ("z-rej", "reject", "block"),
        ("z-ext", "extend", "extend"),
    ):
        await hold(index, upstream, project)
        workflow = index.workflow(project, "1.0")
        review = {"reviewer": "rita", "reason": "seen", "days": 3}
        await asyncio.gather(*(workflow.signal(name, review) for _ in range(5)), return_exceptions=True)
        await until(partial(count, index, "decision WHERE project = $1", project))
        await asyncio.sleep(0.5)
        assert await count(index, "decision WHERE project = $1 AND action = $2", project, action) == 1
        assert await count(index, "journal WHERE project = $1 AND action = $2", project, action) == 1


async def test_extended_by_signal(index: SkippingKoschey, upstream: Upstream) -> None:
    """`extend` holds a release beyond its window; the same reason with more days is another decision."""
    file = await hold(index, upstream, "z-long")
    workflow = index.workflow("z-long", "1.0")
    for days in (10, 20):
        await workflow.signal("extend", {"reviewer": "rita", "reason": "we look at it", "days": days})
    await until(lambda: _answers_with(workflow, "extend by rita: serial"))
    await until(lambda: _is(count(index, "decision WHERE project = 'z-long' AND action = 'extend'"), 2))
    await index.pass_time(12 * DAY)
    await asyncio.sleep(0.5)
    assert (await index.state_of(file.filename))[0] == "held"
    await index.pass_time(9 * DAY)
    await index.wait_for_state(file.filename, "released")


async def _is(found: Any, expected: object) -> bool:
    return bool(await found == expected)


async def test_update_answers_what_the_decision_said(index: SkippingKoschey, upstream: Upstream) -> None:
    """Bad input is refused before it enters the history; a decision returns what came of it, also a refusal."""
    file = await hold(index, upstream, "z-update")
    workflow = index.workflow("z-update", "1.0")
    bad: list[Any] = [None, {}, {"choice": "trust"}, {"choice": ["approve"]}, {"choice": "approve", "reviewer": "rita"}]
    bad += [
        {"choice": "extend", "reviewer": "rita", "reason": "x", "days": days} for days in (None, 0, -1, "7", True, 9e9)
    ]
    bad += [{"choice": "approve", "reviewer": "rita", "reason": reason} for reason in (" ", "x" * 2001)]
    for given in bad:
        with pytest.raises(WorkflowUpdateFailedError):
            await workflow.execute_update("decide", given)
    kinds = {event.event_type for event in (await workflow.fetch_history()).events}
    assert EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED not in kinds
    review = {"choice": "approve", "reason": "seen"}
    answer = await workflow.execute_update("decide", {**review, "reviewer": "ulf"})
    assert answer.startswith("refused: ")
    assert (await index.state_of(file.filename))[0] == "held"
    answer = await workflow.execute_update("decide", {**review, "reviewer": "rita"})
    assert answer.startswith("serial ")
    assert (await index.state_of(file.filename))[0] == "released"


async def test_the_closed_door(koschey: Koschey, upstream: Upstream) -> None:
    """Where decisions by signal are switched off, neither a signal nor an update of a real reviewer decides."""
    database = await new_database(koschey, f"forged_{next(NUMBERS)}")
    async with skipping(koschey, database, upstream.url, decisions_by_signal=False) as index:
        await add_account(index, "rita", "reviewer", "*")
        file = await hold(index, upstream, "z-closed")
        workflow, review = index.workflow("z-closed", "1.0"), {"reviewer": "rita", "reason": "seen"}
        await workflow.signal("approve", review)
        await until(lambda: _answers_with(workflow, "approve by rita: decisions by signal are switched off"))
        answer = await workflow.execute_update("decide", {**review, "choice": "approve"})
        assert answer.startswith("decisions by signal are switched off")
        assert (await index.state_of(file.filename))[0] == "held"
        assert await count(index, "decision WHERE project = $1", "z-closed") == 0


async def test_started_terminated_and_started_again(index: SkippingKoschey, upstream: Upstream) -> None:
    """Who starts or ends workflows himself lets nothing out; what is held gets its workflow back."""
    file = await hold(index, upstream, "z-ended")
    client, ended = index.environment.client, index.workflow("z-ended", "1.0")
    await wait_until_resting(ended)
    await ended.terminate("somebody was here")
    forged = {
        "project": "z-ended",
        "version": "1.0",
        "decisions": [
            {"project": "z-ended", "version": "1.0", "choice": choice, "reviewer": reviewer, "reason": "let it out"}
            for choice in ("approve", "trust", "unblock", "release")
            for reviewer in ("nobody", "ulf", "system")
        ],
    }
    other = await client.start_workflow(
        "QuarantineRelease", forged, id=quarantine_id("z-ended", "1.0") + "/forged", task_queue=TASK_QUEUE
    )
    await until(lambda: _answers_with(other, "approve by system: refused"))
    await wait_until_resting(other)
    await other.terminate("enough")
    assert (await index.state_of(file.filename))[0] == "held"
    assert await index.served("z-ended") == []
    await restart_held(index.resources.pool, FIRST)
    handle = index.workflow("z-ended", "1.0")
    await until(lambda: _runs(handle))
    await until(lambda: handle.query("status"))
    await index.pass_time(8 * DAY)
    await index.wait_for_state(file.filename, "released")


async def _runs(handle: WorkflowHandle[Any, Any]) -> bool:
    description = await handle.describe()
    return description.status is WorkflowExecutionStatus.RUNNING


async def test_restart_does_not_disturb_what_runs(index: SkippingKoschey, upstream: Upstream) -> None:
    """A quarantine that runs is neither woken nor doubled by the walk through all that is held."""
    await hold(index, upstream, "z-quiet")
    workflow = index.workflow("z-quiet", "1.0")
    await asyncio.sleep(0.5)
    before = (await workflow.describe()).history_length
    for _ in range(3):
        await restart_held(index.resources.pool, FIRST)
    await until(lambda: _is(count(index, "outbox"), 0))
    assert (await workflow.describe()).history_length == before
