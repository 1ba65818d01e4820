"""A timer that fires two hundred times at once: never early, and once alone (Q5)."""

import asyncio
from datetime import timedelta

from packaging.utils import NormalizedName

from koschey.db.pool import Pool
from koschey.model import State
from koschey.quarantine.settle import settle
from tests.support.postgres import set_clock
from tests.support.rows import NOON, WEEK, add_project, new_file, select_states

PROJECT = NormalizedName("timers")
TIMES = 200


async def test_timer_that_fires_two_hundred_times(pool: Pool) -> None:
    """Before its time nothing is released however often a timer fires; after it, once, with one row (Q5)."""
    async with pool.acquire() as connection:
        file = new_file(f"{PROJECT}-1.0-py3-none-any.whl", release_at=NOON)
        await add_project(connection, PROJECT, [file], looked_at=NOON + timedelta(days=3650))

    async def fire() -> None:
        async with pool.acquire() as connection:
            await settle(connection, PROJECT, "1.0", WEEK)

    await set_clock(pool, NOON - timedelta(microseconds=1))
    await asyncio.gather(*(fire() for _ in range(TIMES)))
    assert await pool.fetchval("SELECT count(*) FROM journal") == 0
    assert set((await select_states(pool, PROJECT)).values()) == {State.HELD}
    await set_clock(pool, NOON)
    await asyncio.gather(*(fire() for _ in range(TIMES)))
    assert set((await select_states(pool, PROJECT)).values()) == {State.RELEASED}
    assert await pool.fetchval("SELECT count(*) FROM journal") == 1
