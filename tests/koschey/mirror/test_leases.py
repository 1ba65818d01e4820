"""Leases: of all who want the same one works, in whatever process, and the others wait for its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from koschey.db.leases import acquire_lease
from koschey.db.pool import Pool
from koschey.errors import Busy
from koschey.mirror import leases as leases_module
from koschey.mirror.leases import Leases

KEY = "file/1"
LONG = 60.0
"""Seconds of a lease that does not end within a test."""
TIMEOUT = 30.0


class Work:
    """Work that counts how many do it at once."""

    def __init__(self) -> None:
        self.now = self.most = self.done = 0

    async def run(self, leases: Leases, key: str = KEY) -> None:
        async with leases.hold(key, LONG, "spam"):
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.01)
            self.now -= 1
            self.done += 1


@asynccontextmanager
async def held(leases: Leases, seconds: float = LONG) -> AsyncIterator[asyncio.Task[None]]:
    """Have the key held until the block ends, by a task of its own."""
    begun, end = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with leases.hold(KEY, seconds, "spam"):
            begun.set()
            await end.wait()

    task = asyncio.create_task(hold())
    await asyncio.wait_for(begun.wait(), TIMEOUT)
    try:
        yield task
    finally:
        end.set()
        await asyncio.gather(task, return_exceptions=True)


async def rows(pool: Pool) -> int:
    """Return how many leases there are."""
    return int(await pool.fetchval("SELECT count(*) FROM lease"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr(leases_module, "PATIENCE", 0.2)


@pytest.fixture
def unpolled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tries again but who hears that a lease was given back."""
    monkeypatch.setattr(leases_module, "POLL", 2 * TIMEOUT)


async def test_one_at_a_time(pool: Pool) -> None:
    """Of tasks in three processes one works at a time, all come to their turn, and no lease is left."""
    work, processes = Work(), [Leases(pool) for _ in range(3)]
    tasks = [work.run(process) for process in processes for _ in range(4)]
    await asyncio.wait_for(asyncio.gather(*tasks), TIMEOUT)
    assert (work.most, work.done) == (1, 12)
    assert await rows(pool) == 0


async def test_keys_do_not_wait_for_each_other(pool: Pool) -> None:
    """A lease on one key keeps nobody from another."""
    leases, work = Leases(pool), Work()
    async with held(leases):
        await asyncio.wait_for(work.run(leases, "file/2"), TIMEOUT)
    assert work.done == 1


async def test_a_process_waits_for_itself_without_polling(pool: Pool, unpolled: None) -> None:
    """The end of the work wakes the next task of the same process."""
    leases, work = Leases(pool), Work()
    await asyncio.wait_for(asyncio.gather(*(work.run(leases) for _ in range(5))), TIMEOUT)
    assert (work.most, work.done) == (1, 5)


async def test_another_process_is_woken(pool: Pool, unpolled: None) -> None:
    """Who hears that another process gave the lease back does not wait for the next try."""
    other, work = Leases(pool), Work()
    async with held(Leases(pool)):
        task = asyncio.create_task(work.run(other))
        while KEY not in other._signals:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert work.done == 0
    other.hear(KEY)
    await asyncio.wait_for(task, TIMEOUT)
    assert work.done == 1
    other.hear(KEY)  # nobody waits any more


@pytest.mark.parametrize("same", [True, False], ids=["same process", "another process"])
async def test_nobody_waits_without_end(pool: Pool, impatient: None, same: bool) -> None:
    """Who has waited too long is told what for; the one that works goes on."""
    first = Leases(pool)
    second = first if same else Leases(pool)
    async with held(first) as task:
        with pytest.raises(Busy, match="another process is fetching spam"):
            await asyncio.wait_for(Work().run(second), TIMEOUT)
        assert not task.done()
        assert await rows(pool) == 1
    await asyncio.wait_for(Work().run(second), TIMEOUT)


async def test_the_dead_hold_nothing(pool: Pool) -> None:
    """A lease whose process died is free once it has ended."""
    assert await acquire_lease(pool, KEY, "dead", 0.5)
    await asyncio.wait_for(Work().run(Leases(pool)), TIMEOUT)


async def test_long_work_keeps_its_lease(pool: Pool, impatient: None) -> None:
    """A lease is renewed for as long as the work takes."""
    async with held(Leases(pool), 0.6):
        for _ in range(4):
            with pytest.raises(Busy):
                await asyncio.wait_for(Work().run(Leases(pool)), TIMEOUT)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_work_that_fails_gives_back(pool: Pool, error: type[BaseException]) -> None:
    """Work that fails or is cancelled ends its lease, and its error is raised."""
    leases = Leases(pool)
    with pytest.raises(error):
        async with leases.hold(KEY, LONG, "spam"):
            raise error
    assert await rows(pool) == 0
    await asyncio.wait_for(Work().run(leases), TIMEOUT)


async def test_who_gives_up_takes_nothing(pool: Pool) -> None:
    """A task that is cancelled while it waits leaves the lease to the one that has it, and to the next."""
    leases, other = Leases(pool), Leases(pool)
    async with held(leases):
        for waiting in (leases, other):
            task = asyncio.create_task(Work().run(waiting))
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert await rows(pool) == 1
    assert not leases._signals
    assert not other._signals
    await asyncio.wait_for(Work().run(other), TIMEOUT)


async def test_a_refusal_of_the_database_is_not_remembered(pool: Pool) -> None:
    """Where PostgreSQL cannot take the lease its error is raised, and the next attempt is free."""
    leases = Leases(pool)
    await pool.execute("ALTER TABLE lease ADD CONSTRAINT nothing CHECK (false) NOT VALID")
    try:
        with pytest.raises(Exception, match="nothing"):
            await Work().run(leases)
    finally:
        await pool.execute("ALTER TABLE lease DROP CONSTRAINT nothing")
    await asyncio.wait_for(Work().run(leases), TIMEOUT)


async def test_a_lease_that_cannot_be_given_back_ends_by_itself(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work that was done counts, whatever becomes of its lease."""
    leases = Leases(pool)

    async def fail(*_: object) -> None:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(leases_module, "release_lease", fail)
        work = Work()
        await work.run(leases)
    assert work.done == 1
    await asyncio.wait_for(Work().run(leases), TIMEOUT)


async def test_lease_that_is_not_needed_is_not_held(pool: Pool, unpolled: None) -> None:
    """The block runs without a row; a task of this process that waited for the answer gets the lease at once."""
    leases, work, asked, answer = Leases(pool), Work(), asyncio.Event(), asyncio.Event()

    async def attempt(_: Pool, key: str, holder: str, seconds: float) -> tuple[str, bool]:
        asked.set()
        await answer.wait()
        return "known", False

    async def look() -> str:
        async with leases.hold_if_needed(attempt, KEY, LONG) as holding:
            assert holding.is_released
            assert not leases.is_held(KEY)
            return holding.found

    looking = asyncio.create_task(look())
    await asyncio.wait_for(asked.wait(), TIMEOUT)
    assert leases.is_held(KEY)
    waiting = asyncio.create_task(work.run(leases))
    await asyncio.sleep(0.05)
    assert work.done == 0
    answer.set()
    assert await asyncio.wait_for(looking, TIMEOUT) == "known"
    await asyncio.wait_for(waiting, TIMEOUT)
    assert (work.done, await rows(pool)) == (1, 0)


async def test_needed_lease_keeps_others_away(pool: Pool) -> None:
    """It is a row until the block ends, and then it is gone, also if the block fails."""
    leases = Leases(pool)

    async def attempt(db: Pool, key: str, holder: str, seconds: float) -> tuple[None, bool]:
        return None, await acquire_lease(db, key, holder, seconds)

    async def look() -> None:
        async with leases.hold_if_needed(attempt, KEY, LONG) as holding:
            assert not holding.is_released
            assert leases.is_held(KEY)
            assert not await acquire_lease(pool, KEY, "another", LONG)
            raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        await look()
    assert not leases.is_held(KEY)
    assert await rows(pool) == 0


async def test_failed_attempt_holds_nothing(pool: Pool) -> None:
    """The next task of this process may try again."""
    leases = Leases(pool)

    async def attempt(*_: object) -> tuple[None, bool]:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        async with leases.hold_if_needed(attempt, KEY, LONG):
            pass
    assert not leases.is_held(KEY)


async def test_lease_is_renewed_while_its_block_runs(pool: Pool) -> None:
    """It lasts beyond the time for which it was acquired."""
    leases = Leases(pool)
    async with held(leases, 0.6):
        await asyncio.sleep(1.2)
        assert not await acquire_lease(pool, KEY, "another", LONG)
