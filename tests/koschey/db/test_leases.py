"""Leases: one holder at a time, and a dead one is replaced."""

import asyncio

import pytest
from packaging.utils import NormalizedName

from koschey.db.leases import Lease, acquire_lease, release_lease, renew_lease
from koschey.db.pool import Connection, Database, Pool, connect
from koschey.db.project_views import acquire_view
from koschey.db.projects import insert_project
from koschey.model import Origin
from koschey.policy.rules import Rules
from tests.support.postgres import set_clock
from tests.support.rows import NOON


async def holder_of(db: Database, key: str) -> str | None:
    """Who holds a lease now."""
    holder: str | None = await db.fetchval("SELECT holder FROM lease WHERE key = $1 AND until >= now()", key)
    return holder


async def test_one_holds_and_others_do_not(pool: Pool) -> None:
    """A lease is held by one; leases on other keys are free."""
    assert await acquire_lease(pool, "page/spam", "ada", 60)
    assert not await acquire_lease(pool, "page/spam", "bob", 60)
    assert await holder_of(pool, "page/spam") == "ada"
    assert await acquire_lease(pool, "page/eggs", "bob", 60)
    assert await holder_of(pool, "page/ham") is None


async def test_of_many_one_wins(pool: Pool) -> None:
    """Of twenty that try at the same moment one gets it."""
    names = [f"process-{number}" for number in range(20)]
    taken = await asyncio.gather(*(acquire_lease(pool, "file/1", name, 60) for name in names))
    assert taken.count(True) == 1
    assert await holder_of(pool, "file/1") == names[taken.index(True)]


async def test_a_holder_renews(pool: Pool) -> None:
    """The holder can take its own lease again, which moves the end."""
    assert await acquire_lease(pool, "file/1", "ada", 60)
    before = await pool.fetchval("SELECT until FROM lease")
    assert await acquire_lease(pool, "file/1", "ada", 120)
    assert (await pool.fetchval("SELECT until FROM lease") - before).total_seconds() > 50
    assert not await acquire_lease(pool, "file/1", "bob", 60)


async def test_an_old_lease_is_taken_over(pool: Pool) -> None:
    """A lease whose time is over holds nobody off, and its former holder has lost it."""
    assert await acquire_lease(pool, "file/1", "dead", -1)
    assert await holder_of(pool, "file/1") is None
    assert await acquire_lease(pool, "file/1", "ada", 60)
    assert not await acquire_lease(pool, "file/1", "dead", 60)
    assert await holder_of(pool, "file/1") == "ada"


async def test_only_the_holder_gives_back(pool: Pool) -> None:
    """A lease that was lost to another cannot be given back in its place."""
    assert await acquire_lease(pool, "file/1", "ada", 60)
    await release_lease(pool, "file/1", "bob")
    assert await holder_of(pool, "file/1") == "ada"
    await release_lease(pool, "file/1", "ada")
    assert await holder_of(pool, "file/1") is None
    assert await acquire_lease(pool, "file/1", "bob", 60)


async def test_those_who_wait_are_woken(pool: Pool, database: str) -> None:
    """Giving a lease back tells everybody which."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await connect(database)
    await listener.add_listener("koschey_lease", lambda *call: heard.put_nowait(call[3]))
    assert await acquire_lease(pool, "file/1", "ada", 60)
    assert heard.empty()
    await release_lease(pool, "file/1", "ada")
    assert await asyncio.wait_for(heard.get(), 10) == "file/1"
    await listener.close()


@pytest.mark.parametrize("seconds", [60, -1])
async def test_leases_go_by_real_time(connection: Connection, seconds: int) -> None:
    """The clock of the policy, which tests and nobody else may move, neither prolongs a lease nor ends it."""
    await set_clock(connection, NOON.replace(year=2040 if seconds > 0 else 1990))
    assert await acquire_lease(connection, "file/1", "ada", seconds)
    assert await acquire_lease(connection, "file/1", "bob", 60) == (seconds < 0)


async def test_a_lease_that_is_being_released_is_held(pool: Pool, connection: Connection) -> None:
    """Who acquires a lease never waits for the transaction that releases it, and then sees what that wrote."""
    name = NormalizedName("spam")
    held = Lease("page/spam", "ada")
    assert (await acquire_view(name, pool, *held, 60) or ())[:2] == (None, Rules())
    async with connection.transaction():
        await insert_project(connection, name, "spam", Origin.MIRRORED)
        await connection.execute("DELETE FROM lease WHERE key = $1", held.key)
        assert await asyncio.wait_for(acquire_view(name, pool, held.key, "bob", 60), 10) is None
    view = await acquire_view(name, pool, held.key, "bob", 60)
    assert view is not None
    assert view.project is not None
    assert view.project.name == name
    assert await holder_of(pool, held.key) == "bob"


async def test_a_renewal_revives_no_lease(pool: Pool) -> None:
    """A lease that was released, or that another has, is not renewed."""
    await renew_lease(pool, "file/1", "ada", 60)
    assert await holder_of(pool, "file/1") is None
    assert await acquire_lease(pool, "file/1", "bob", 60)
    await renew_lease(pool, "file/1", "ada", 60)
    assert await holder_of(pool, "file/1") == "bob"


async def test_only_the_commits_of_leases_do_not_wait_for_the_disk(pool: Pool) -> None:
    """The next transaction on the same connection waits for the disk, whatever became of the lease."""
    async with pool.acquire() as connection:
        for holder in ("ada", "bob"):
            await acquire_lease(connection, "file/1", holder, 60)
            assert await connection.fetchval("SHOW synchronous_commit") == "on"
        await release_lease(connection, "file/1", "ada")
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
