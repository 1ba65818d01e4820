"""What whoever reaches Temporal can send to a quarantine: it changes nothing that a reviewer may not change."""

import asyncio
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError

from koschey.auth.codes import new_code
from koschey.quarantine import reviewer_codes
from koschey.quarantine.decision import Choice
from koschey.quarantine.sweep import restart_held
from koschey.worker import open_codes
from koschey.worker.open_codes import OpenCodes
from tests.support.koschey_up import Koschey
from tests.support.time_skipping import (
    SkippingKoschey,
    code_for,
    forging,
    hold,
    wait_until_resting,
)
from tests.support.upstream.server import Upstream
from tests.support.waiting import eventually
from workflows.names import TASK_QUEUE, quarantine_id

DAY = timedelta(days=1)
NUMBERS = itertools.count()
SEED = 20261125
LIFETIME = timedelta(seconds=10)
"""Of codes whose signals wait for a worker."""


@pytest.fixture
async def index(koschey: Koschey, upstream: Upstream) -> AsyncIterator[SkippingKoschey]:
    """An index on which codes decide."""
    async with forging(koschey, upstream, "code") as running:
        yield running


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


@pytest.mark.parametrize("mode", ["code", "trusted"])
async def test_a_hundred_forged_signals_change_nothing(koschey: Koschey, upstream: Upstream, mode: str) -> None:
    """Neither state nor journal nor decisions move, the workflow goes on, and time releases as it would have (Q11)."""
    async with forging(koschey, upstream, mode) as index:
        project = f"z-forged-{mode}"
        file = await hold(index, upstream, project)
        workflow = index.workflow(project, "1.0")
        before = await count(index, "journal"), await count(index, "decision"), await index.state_of(file.filename)
        sent = forgeries(random.Random(SEED), 100)
        if mode == "code":
            sent += [(name, [{"reviewer": "rita", "reason": "x", "days": 1, **code}]) for name, code in uncoded()]
        for name, given in sent:
            await workflow.signal(name, args=given)
        await workflow.signal("approve", {"reviewer": "nobody", "reason": "the last"})
        await eventually(lambda: _answers_with(workflow, "refused: "))
        await asyncio.sleep(1.5)
        after = await count(index, "journal"), await count(index, "decision"), await index.state_of(file.filename)
        assert after == before
        await index.pass_time(8 * DAY)
        assert await index.wait_for_state(file.filename, "released") == "the quarantine window ended"


def uncoded() -> list[tuple[str, dict[str, object]]]:
    """What can be sent in the name of a real reviewer by somebody who has seen no code."""
    codes: list[dict[str, object]] = [{}, {"code": ""}, {"code": None}, {"code": 7}, {"code": "x" * 300_000}]
    codes += [{"code": new_code()} for _ in range(20)]
    codes += [{"code": "%"}, {"code": "' OR true --"}, {"code": ["1"]}, {"Code": new_code()}]
    return [(name, code) for name in ("approve", "reject", "extend") for code in codes]


async def _answers_with(workflow: Any, words: str) -> list[str]:
    return [answer for answer in await workflow.query("answers") if words in answer]


@pytest.mark.parametrize("mode", ["code", "trusted"])
async def test_a_signal_sent_twice_writes_one_decision(koschey: Koschey, upstream: Upstream, mode: str) -> None:
    """However often, and at once or later, the same decision is sent: there is one decision, and one journal row."""
    async with forging(koschey, upstream, mode) as index:
        for project, name, choice, days in (
            ("z-app", "approve", Choice.APPROVE, None),
            ("z-rej", "reject", Choice.BLOCK, None),
            ("z-ext", "extend", Choice.EXTEND, 3.0),
        ):
            await hold(index, upstream, f"{project}-{mode}")
            workflow = index.workflow(f"{project}-{mode}", "1.0")
            review = await code_for(index, choice, f"{project}-{mode}", days=days)
            await asyncio.gather(*(workflow.signal(name, review) for _ in range(5)), return_exceptions=True)
            await eventually(partial(count, index, "decision WHERE project = $1", f"{project}-{mode}"))
            await workflow.signal(name, review) if project == "z-ext" else None
            await asyncio.sleep(0.5)
            for table in ("decision", "journal"):
                rows = await count(index, f"{table} WHERE project = $1 AND action = $2", f"{project}-{mode}", choice)
                assert rows == 1


async def test_extended_by_signal(index: SkippingKoschey, upstream: Upstream) -> None:
    """`extend` holds a release beyond its window; another code with more days is another decision."""
    file = await hold(index, upstream, "z-long")
    workflow = index.workflow("z-long", "1.0")
    for days in (10, 20):
        await workflow.signal("extend", await code_for(index, Choice.EXTEND, "z-long", days=days))
    await eventually(lambda: _answers_with(workflow, "extend by rita: serial"))
    await eventually(lambda: _is(count(index, "decision WHERE project = 'z-long' AND action = 'extend'"), 2))
    await index.pass_time(12 * DAY)
    await asyncio.sleep(0.5)
    assert (await index.state_of(file.filename))[0] == "held"
    await index.pass_time(9 * DAY)
    await index.wait_for_state(file.filename, "released")


# The receipt


@pytest.fixture
async def waiting(
    koschey: Koschey, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SkippingKoschey]:
    """An index whose codes are good for seconds, as no server skips time while a signal waits to be read."""
    for module in (reviewer_codes, open_codes):
        monkeypatch.setattr(module, "LIFETIME", LIFETIME)
    async with forging(koschey, upstream, "code", skips=False) as running:
        yield running


async def test_a_signal_that_waits_for_a_worker_is_in_time(waiting: SkippingKoschey, upstream: Upstream) -> None:
    """While no worker runs, codes count to the receipt by Temporal: one in time decides, and a late one does not."""
    for project in ("z-early", "z-late"):
        await hold(waiting, upstream, project)
    early, late = waiting.workflow("z-early", "1.0"), waiting.workflow("z-late", "1.0")
    given = {project: await code_for(waiting, Choice.APPROVE, project) for project in ("z-early", "z-late")}
    await waiting.stop_worker()
    await early.signal("approve", given["z-early"])
    await asyncio.sleep(LIFETIME.total_seconds() + 1)
    await late.signal("approve", given["z-late"])
    await waiting.start_worker()
    await eventually(lambda: _answers_with(early, "approve by rita: serial"))
    [answer] = await eventually(lambda: _answers_with(late, "approve by rita"))
    assert "the code is late" in answer
    assert "koschey code approve" in answer
    assert await count(waiting, "decision WHERE action = 'approve'") == 1


async def test_a_signal_decides_though_no_task_of_its_workflow_begins(
    waiting: SkippingKoschey, upstream: Upstream
) -> None:
    """The worker reads it from the history: while signals pour in Temporal may begin no task. A late one stays late."""
    files = {project: await hold(waiting, upstream, project) for project in ("z-read", "z-unread")}
    read, unread = waiting.workflow("z-read", "1.0"), waiting.workflow("z-unread", "1.0")
    given = {project: await code_for(waiting, Choice.APPROVE, project) for project in files}
    reading = OpenCodes(waiting.resources.pool, waiting.environment.client, None)
    assert await reading.read_once() == []
    await waiting.stop_worker()
    for name, junk in (("approve", None), ("reject", given["z-read"]), ("approve", {**given["z-read"], "code": "x"})):
        await read.signal(name, junk)
    await read.signal("approve", given["z-read"])
    await read.signal("approve", given["z-read"])
    assert await reading.read_once() == []  # its workflow may still decide it
    assert (await waiting.state_of(files["z-read"].filename))[0] == "held"
    refused, done = await reading.read_once()
    assert refused.startswith("refused: the code is for another reviewer, choice or number of days")
    assert done.startswith("serial ")
    assert (await waiting.state_of(files["z-read"].filename))[0] == "released"
    await asyncio.sleep(LIFETIME.total_seconds())
    await unread.signal("approve", given["z-unread"])
    assert [await reading.read_once(), await reading.read_once()] == [[], []]
    await waiting.start_worker()
    await eventually(partial(_answers_with, read, f"the code was used before, and then: {done}"))
    await eventually(partial(_answers_with, unread, "the code is late"))
    assert (await waiting.state_of(files["z-unread"].filename))[0] == "held"
    assert await count(waiting, "decision WHERE action = 'approve'") == 1


async def test_nobody_can_date_a_late_code_back(index: SkippingKoschey, upstream: Upstream) -> None:
    """Who starts workflows and makes up what one run hands to the next cannot use a code that expired unsent."""
    file = await hold(index, upstream, "z-dated")
    given = await code_for(index, Choice.APPROVE, "z-dated")
    workflow, client = index.workflow("z-dated", "1.0"), index.environment.client
    await index.pass_time(timedelta(minutes=11))
    decision = {"project": "z-dated", "version": "1.0", "choice": "approve", **given}
    run = (await workflow.describe()).run_id
    for number, received in enumerate(["", run, "no-such-run", str(uuid.uuid4())]):
        forged = {"project": "z-dated", "version": "1.0", "decisions": [{**decision, "received_in": received}]}
        other = await client.start_workflow(
            "HeldRelease", forged, id=f"{quarantine_id('z-dated', '1.0')}/{number}", task_queue=TASK_QUEUE
        )
        await eventually(partial(_answers_with, other, "the code is late"))
        await wait_until_resting(other)
        await other.terminate("enough")
    await workflow.signal("approve", {**given, "at": "2020-01-01T00:00:00Z", "received_in": run})
    await eventually(lambda: _answers_with(workflow, "the code is late"))
    assert (await index.state_of(file.filename))[0] == "held"


async def test_what_one_run_received_in_time_the_next_may_decide(waiting: SkippingKoschey, upstream: Upstream) -> None:
    """A decision that is handed on is dated by the history of the run that received it."""
    file = await hold(waiting, upstream, "z-handed")
    workflow, client = waiting.workflow("z-handed", "1.0"), waiting.environment.client
    given = await code_for(waiting, Choice.APPROVE, "z-handed")
    await waiting.stop_worker()
    await workflow.signal("approve", given)
    run = (await workflow.describe()).run_id
    await workflow.terminate("its history stays")
    await asyncio.sleep(LIFETIME.total_seconds() + 1)
    decision = {"project": "z-handed", "version": "1.0", "choice": "approve", **given, "received_in": run}
    again = {"project": "z-handed", "version": "1.0", "decisions": [decision]}
    await client.start_workflow("HeldRelease", again, id=quarantine_id("z-handed", "1.0"), task_queue=TASK_QUEUE)
    await waiting.start_worker()
    await waiting.wait_for_state(file.filename, "released")


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
    review = {"choice": "approve", **await code_for(index, Choice.APPROVE, "z-update")}
    for wrong in ({"reviewer": "ulf"}, {"code": new_code()}, {"code": ""}, {"choice": "reject"}):
        answer = await workflow.execute_update("decide", {**review, **wrong})
        assert answer.startswith("refused: ")
        assert "POST /api/v1/codes" in answer
    assert (await index.state_of(file.filename))[0] == "held"
    answer = await workflow.execute_update("decide", review)
    assert answer.startswith("serial ")
    assert (await index.state_of(file.filename))[0] == "released"


@pytest.mark.parametrize("setting", ["off", "false"])
async def test_the_closed_door(koschey: Koschey, upstream: Upstream, setting: str) -> None:
    """Where decisions by signal are switched off, neither a signal nor an update decides, not even with a code."""
    async with forging(koschey, upstream, setting) as index:
        project = f"z-closed-{setting}"
        file = await hold(index, upstream, project)
        workflow, review = index.workflow(project, "1.0"), await code_for(index, Choice.APPROVE, project)
        await workflow.signal("approve", review)
        await eventually(lambda: _answers_with(workflow, "approve by rita: decisions by signal are switched off"))
        answer = await workflow.execute_update("decide", {**review, "choice": "approve"})
        assert answer.startswith("decisions by signal are switched off")
        assert (await index.state_of(file.filename))[0] == "held"
        assert await count(index, "decision WHERE project = $1", project) == 0


@pytest.mark.parametrize("setting", ["trusted", "true"])
async def test_the_trusted_door(koschey: Koschey, upstream: Upstream, setting: str) -> None:
    """Where Temporal has logins of its own, the name of a reviewer is enough, and the journal says so."""
    async with forging(koschey, upstream, setting) as index:
        project = f"z-trusted-{setting}"
        file = await hold(index, upstream, project)
        workflow = index.workflow(project, "1.0")
        await workflow.signal("approve", {"reviewer": "elsa", "reason": "seen"})
        await eventually(lambda: _answers_with(workflow, "approve by elsa: refused: no reviewer has this name"))
        answer = await workflow.execute_update("decide", {"choice": "approve", "reviewer": "rita", "reason": "seen"})
        assert answer.startswith("serial ")
        assert (await index.state_of(file.filename))[0] == "released"
        door = "SELECT DISTINCT actor || ' ' || door FROM decision WHERE project = $1"
        assert await index.resources.pool.fetchval(door, project) == "rita signal"


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
        "HeldRelease", forged, id=quarantine_id("z-ended", "1.0") + "/forged", task_queue=TASK_QUEUE
    )
    await eventually(lambda: _answers_with(other, "refused: a code is missing"))
    await wait_until_resting(other)
    await other.terminate("enough")
    assert (await index.state_of(file.filename))[0] == "held"
    assert await index.served("z-ended") == []
    await restart_held(index.resources.pool, 0)
    handle = index.workflow("z-ended", "1.0")
    await eventually(lambda: _runs(handle))
    await eventually(lambda: handle.query("status"))
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
        await restart_held(index.resources.pool, 0)
    await eventually(lambda: _is(count(index, "outbox"), 0))
    assert (await workflow.describe()).history_length == before
