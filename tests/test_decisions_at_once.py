"""Two thousand decisions at once, with readers in between: every one is lawful, and no block is ever looked through.

The journal says in which order they took effect; a small model that reads it must agree with every row, with every
reader, and with what is in the database at the end.
"""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from packaging.utils import NormalizedName
from parts import NOON, WEEK, add_project, new_file, select_states, set_clock

from koschey.db import files, projects
from koschey.db.accounts import insert_grant, upsert_account
from koschey.db.policies import load_policy
from koschey.db.pool import Pool
from koschey.errors import UsageError
from koschey.model import Actor, State
from koschey.policy.verdict import verdict
from koschey.publish.decide import Choice, Decision, decide
from koschey.publish.settle import settle

DECISIONS = 2_000
AT_ONCE = 16
READERS = 6
PROJECTS = [NormalizedName(f"race{number}") for number in range(6)]
SEED = 20261125
RITA = Actor("rita", "signal")
MOVES = {
    "approve": ({State.HELD}, State.RELEASED),
    "block": ({State.HELD, State.RELEASED, State.BLOCKED}, State.BLOCKED),
    "unblock": ({State.BLOCKED}, State.HELD),
    "extend": ({State.HELD}, State.HELD),
    "released": ({State.HELD}, State.RELEASED),
    "blocked": ({State.HELD}, State.BLOCKED),
}
"""What each row of the journal does: from which states, and to which."""


@dataclass
class Seen:
    """What was done and read, with the times between which it took effect."""

    decided: dict[int, tuple[float, float]] = field(default_factory=dict)
    read: list[tuple[str, float, float, bool]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)


@pytest.fixture
async def raced(pool: Pool) -> Pool:
    """Projects with one held file each, whose windows end within the hour, and a reviewer."""
    await set_clock(pool, NOON)
    async with pool.acquire() as connection:
        await insert_grant(connection, await upsert_account(connection, "rita", None), "reviewer")
        for project in PROJECTS:
            file = new_file(f"{project}-1.0-py3-none-any.whl", release_at=NOON - timedelta(hours=1))
            await add_project(connection, project, [file], looked_at=NOON + timedelta(days=3650))
    return pool


async def decide_once(pool: Pool, chance: random.Random, seen: Seen) -> None:
    """Make one random decision, or let time have its way."""
    project, what = chance.choice(PROJECTS), chance.choice(["approve", "block", "unblock", "extend", "expire"])
    began = time.monotonic()
    async with pool.acquire() as connection:
        if what == "expire":
            await settle(connection, project, "1.0", WEEK)
            return
        days = chance.choice([1.0, 5.0]) if what == "extend" else None
        wanted = Decision(Choice(what), project, "1.0", chance.choice(["seen", "bad", "sorry"]), days=days)
        try:
            outcome = await decide(connection, RITA, wanted)
        except UsageError as error:
            seen.refused[type(error).__name__] += 1
            return
    if outcome.serial is not None:
        seen.decided[outcome.serial] = (began, time.monotonic())
        seen.changed[what] += 1


async def read_once(pool: Pool, chance: random.Random, seen: Seen) -> None:
    """Ask whether a file is served, as the web process does for every GET."""
    project, began = chance.choice(PROJECTS), time.monotonic()
    found = await projects.select_project(pool, project)
    [item] = await files.select_project_files(pool, project)
    assert found
    policy = await load_policy(pool, found, checks=False)
    served = verdict(item.file, item.standing, policy, await projects.select_now(pool)).served
    seen.read.append((project, began, time.monotonic(), served))


async def race(pool: Pool, seen: Seen) -> None:
    """Let many decide while some read."""
    left, over = iter(range(DECISIONS)), asyncio.Event()

    async def repeat(seed: int, one: Callable[[Pool, random.Random, Seen], Awaitable[None]], *, reads: bool) -> None:
        chance = random.Random(SEED + seed)
        while not over.is_set() if reads else next(left, None) is not None:
            await one(pool, chance, seen)
            await asyncio.sleep(0)

    reading = [asyncio.create_task(repeat(1000 + number, read_once, reads=True)) for number in range(READERS)]
    await asyncio.gather(*(repeat(number, decide_once, reads=False) for number in range(AT_ONCE)))
    over.set()
    await asyncio.gather(*reading)


async def test_two_thousand_decisions_at_once(raced: Pool) -> None:
    """Every journalled move is legal from the state before it, and the end is what the journal says (Q11)."""
    seen = Seen()
    await race(raced, seen)
    rows = await raced.fetch("SELECT serial, action, project, filename FROM journal ORDER BY serial")
    assert [row["serial"] for row in rows] == list(range(1, len(rows) + 1))
    states = dict.fromkeys(map(str, PROJECTS), State.HELD)
    history: dict[str, list[tuple[int, State]]] = defaultdict(list)
    for row in rows:
        allowed, after = MOVES[row["action"]]
        if row["filename"] is None:
            continue  # a rule alone, for files to come
        assert states[row["project"]] in allowed, row
        states[row["project"]] = after
        history[row["project"]].append((row["serial"], after))
    for project in PROJECTS:
        assert set((await select_states(raced, project)).values()) == {states[project]}
    assert not set(seen.decided) - {row["serial"] for row in rows}
    decisions = await raced.fetch("SELECT serial, count(*) FROM decision GROUP BY serial")
    assert {row["serial"] for row in decisions} == set(seen.decided)
    assert all(seen.changed[what] > 50 for what in ("approve", "block", "unblock")), seen.changed
    assert violations(seen, history) == []
    assert any(served for *_, served in seen.read)
    print(f"seed {SEED}: {dict(seen.changed)}, {dict(seen.refused)} refused, {len(seen.read)} reads")  # noqa: T201


def violations(seen: Seen, history: dict[str, list[tuple[int, State]]]) -> list[tuple[str, float, float]]:
    """Return reads that were served though they began after a block was committed, and ended before it was lifted."""
    closed: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for project, moves in history.items():
        for (serial, state), later in zip(moves, [*moves[1:], None], strict=True):
            if state is State.BLOCKED and serial in seen.decided:
                begins = seen.decided[later[0]][0] if later and later[0] in seen.decided else float("inf")
                closed[project].append((seen.decided[serial][1], begins))
    return [
        (project, began, ended)
        for project, began, ended, served in seen.read
        if served and any(since < began and ended < until for since, until in closed[project])
    ]


async def test_timer_that_fires_two_hundred_times(raced: Pool) -> None:
    """Before its time nothing is released however often a timer fires; after it, once, with one row (Q5)."""
    project = PROJECTS[0]

    async def fire() -> None:
        async with raced.acquire() as connection:
            await settle(connection, project, "1.0", WEEK)

    await raced.execute("UPDATE standing SET release_at = $1, counts_from = $1", NOON)
    await set_clock(raced, NOON - timedelta(microseconds=1))
    await raced.execute("UPDATE standing SET counts_from = NULL")
    await asyncio.gather(*(fire() for _ in range(200)))
    assert await raced.fetchval("SELECT count(*) FROM journal") == 0
    assert set((await select_states(raced, project)).values()) == {State.HELD}
    await set_clock(raced, NOON)
    await asyncio.gather(*(fire() for _ in range(200)))
    assert set((await select_states(raced, project)).values()) == {State.RELEASED}
    assert await raced.fetchval("SELECT count(*) FROM journal WHERE project = $1", project) == 1
