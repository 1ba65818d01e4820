"""Decisions and ends of windows at the same moment: each file is moved once, and nobody waits for ever."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from koschey.db.files import lock_release_files
from koschey.db.pool import Connection, Pool
from koschey.db.projects import lock_project
from koschey.errors import UsageError
from koschey.quarantine.decide import Choice, DecisionOutcome
from koschey.quarantine.settle import note_failure, settle
from tests.support.decisions import (
    BLOCKED,
    DAY,
    HELD,
    LATER,
    RELEASED,
    SDIST,
    SPAM,
    WHEEL,
    choose,
    release,
    waiting,
)
from tests.support.postgres import set_clock
from tests.support.rows import NOON, WEEK, add_project, new_file, select_files, select_states


async def at_once(pool: Pool, *acts: Callable[[Connection], Awaitable[object]]) -> list[object]:
    """Do all of it at the same moment, each on a connection of its own; return answers and errors."""

    async def run(act: Callable[[Connection], Awaitable[object]]) -> object:
        async with pool.acquire() as connection:
            return await act(connection)

    return await asyncio.gather(*(run(act) for act in acts), return_exceptions=True)


async def moves(connection: Connection) -> dict[str, int]:
    """How many journal rows there are for each file."""
    rows = await connection.fetch("SELECT filename, count(*) FROM journal WHERE filename IS NOT NULL GROUP BY filename")
    return {row["filename"]: row["count"] for row in rows}


async def test_many_approve_at_once(pool: Pool, connection: Connection) -> None:
    """Of ten that approve the same release one moves its files, and the others find nothing to change."""
    await release(connection)
    outcomes = await at_once(pool, *[lambda each: choose(each, Choice.APPROVE)] * 10)
    assert sorted(str(outcome) for outcome in outcomes) == ["nothing to change"] * 9 + ["serial 2, 2 files moved"]
    assert await moves(connection) == {WHEEL: 1, SDIST: 1}


async def test_many_block_at_once(pool: Pool, connection: Connection) -> None:
    """However many block a release, each of its files is moved once."""
    await release(connection)
    outcomes = await at_once(pool, *[lambda each: choose(each, Choice.BLOCK)] * 10)
    assert [
        outcome.filenames for outcome in outcomes if isinstance(outcome, DecisionOutcome) and outcome.filenames
    ] == [(WHEEL, SDIST)]
    assert await moves(connection) == {WHEEL: 1, SDIST: 1}


@pytest.mark.parametrize("attempt", range(5))
async def test_block_beats_approve(pool: Pool, connection: Connection, attempt: int) -> None:
    """Whoever comes first, in the end the release is blocked, and each move has one row."""
    await release(connection)
    acts = [lambda each: choose(each, Choice.APPROVE), lambda each: choose(each, Choice.BLOCK)]
    approved, blocked = await at_once(pool, *acts)
    states = await select_states(connection, SPAM)
    assert (states[WHEEL], states[SDIST], states[LATER]) == (BLOCKED, BLOCKED, HELD)
    assert isinstance(blocked, DecisionOutcome)
    if isinstance(approved, DecisionOutcome):
        assert await moves(connection) == {WHEEL: 2, SDIST: 2}
    else:
        assert isinstance(approved, UsageError)
        assert await moves(connection) == {WHEEL: 1, SDIST: 1}


async def test_people_and_time_at_once(pool: Pool, connection: Connection) -> None:
    """Time and a person that release the same files at the same moment leave one row for one move."""
    await set_clock(connection, NOON)
    await add_project(connection, "spam", [new_file(WHEEL, release_at=NOON - DAY)], looked_at=NOON)
    acts = [lambda each: choose(each, Choice.APPROVE), lambda each: settle(each, SPAM, "1.0", WEEK)] * 5
    assert not [error for error in await at_once(pool, *acts) if isinstance(error, BaseException)]
    assert await select_states(connection, SPAM) == {WHEEL: RELEASED}
    assert await moves(connection) == {WHEEL: 1}


async def test_settling_at_once_moves_once(pool: Pool, connection: Connection) -> None:
    """A timer that fires several times at once moves each file once."""
    await waiting(connection)
    settled = await at_once(pool, *[lambda each: settle(each, SPAM, "1.0", WEEK)] * 10)
    assert not [error for error in settled if isinstance(error, BaseException)]
    assert await moves(connection) == {WHEEL: 1, SDIST: 1}


async def waits_for_a_lock(connection: Connection) -> None:
    """Wait until some other session of this database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(20):
        while not await connection.fetchval(waiting):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("act", ["note_failure", "settle", "decide"])
async def test_locks_are_taken_in_one_order(pool: Pool, connection: Connection, act: str) -> None:
    """Whoever changes a release first locks its project: two of them wait for each other, never both at once."""
    await release(connection)
    item = (await select_files(connection, SPAM))[WHEEL]
    acts: dict[str, Callable[[Connection], Awaitable[object]]] = {
        "note_failure": lambda each: note_failure(each, item, "the upstream is down"),
        "settle": lambda each: settle(each, SPAM, "1.0", WEEK),
        "decide": lambda each: choose(each, Choice.BLOCK),
    }
    async with pool.acquire() as mine, mine.transaction():
        await lock_project(mine, SPAM)
        other = asyncio.create_task(at_once(pool, acts[act]))
        await waits_for_a_lock(connection)
        locked = await lock_release_files(mine, SPAM, None)
        assert len(locked) == 3
    assert not [error for error in await other if isinstance(error, BaseException)]
