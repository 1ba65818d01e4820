"""Walks through all held files in portions: workflows that are missing, and checks that a file has not had."""

import asyncio
from datetime import timedelta

import pytest
from packaging.utils import NormalizedName

from koschey.concurrency.waiting import cancelled
from koschey.db.checking import select_used_names, update_releases
from koschey.db.findings import CheckRun, write_known_checks, write_runs
from koschey.db.pool import Connection, Pool
from koschey.db.projects import insert_project, select_now
from koschey.db.waiting import select_stale_projects, update_wanted
from koschey.model import Origin, State
from koschey.quarantine import sweep
from koschey.quarantine.sweep import keep_waking_unchecked, restart_held, wake_unchecked
from tests.support.rows import NOON, add_project, new_file, select_files

QUIET = timedelta(days=30)


async def fill(connection: Connection) -> None:
    """Three projects with held, stored files, and one whose file is released."""
    for name in ("one", "two", "three"):
        rows = [new_file(f"{name}-1.0-py3-none-any.whl"), new_file(f"{name}-1.0-py2-none-any.whl")]
        await add_project(connection, name, [*rows, new_file(f"{name}-2.0-py3-none-any.whl")])
    await add_project(connection, "released", [new_file("released-1.0-py3-none-any.whl", State.RELEASED)])


async def keys(pool: Pool) -> set[str]:
    """The messages in the outbox; they are removed."""
    return {row["key"].removeprefix("release_held/") for row in await pool.fetch("DELETE FROM outbox RETURNING key")}


async def check(connection: Connection, project: str, *names: str) -> None:
    """Record runs of checks of all files of a project."""
    found = await select_files(connection, NormalizedName(project))
    async with connection.transaction():
        runs = [CheckRun(item.file.id, name) for item in found.values() for name in names]
        await write_runs(connection, await select_now(connection), runs)


async def test_a_walk_reaches_every_held_file(
    pool: Pool, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step after step, each with a bounded number of files, and then it begins again."""
    monkeypatch.setattr(sweep, "WALKED", 2)
    await fill(connection)
    after, steps, found = 0, 0, set[str]()
    while steps == 0 or after:
        after = await restart_held(pool, after)
        step = await keys(pool)
        assert len(step) <= 2
        found |= step
        steps += 1
    assert steps == 5
    assert found == {f"{name}/{version}/quietly" for name in ("one", "two", "three") for version in ("1.0", "2.0")}


async def test_only_unchecked_releases_are_woken(
    pool: Pool, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release is woken if a known check has not seen the bytes of one of its stored files."""
    monkeypatch.setattr(sweep, "WALKED", 4)
    await fill(connection)
    assert await wake_unchecked(pool, 0) > 0
    assert await keys(pool) == set()
    async with connection.transaction():
        await write_known_checks(connection, {"first": {}, "second": {}})
    await check(connection, "one", "first", "second")
    await check(connection, "two", "first")
    await connection.execute("UPDATE file SET stored_at = NULL WHERE filename LIKE 'three-2.0%'")
    monkeypatch.setattr(sweep, "REST", 0.01)
    task = asyncio.create_task(keep_waking_unchecked(pool))
    async with asyncio.timeout(10):
        while await pool.fetchval("SELECT count(*) FROM outbox") < 3:
            await asyncio.sleep(0.01)
    assert not task.done()
    await cancelled(task)
    assert await keys(pool) == {"two/1.0", "two/2.0", "three/1.0"}


async def test_wanted_projects_come_first(pool: Pool, connection: Connection) -> None:
    """Projects with files that are held, released or downloaded recently come before those that wait for longer."""
    for number, name in enumerate(("old", "downloaded", "held", "new", "never")):
        state = State.HELD if name == "held" else State.RELEASED
        looked_at = NOON + timedelta(minutes=number)
        await add_project(connection, name, [new_file(f"{name}-1.0-py3-none-any.whl", state)], looked_at=looked_at)
    await connection.execute("UPDATE project SET looked_at = NULL WHERE name = 'never'")
    await connection.execute(
        "UPDATE standing SET available_at = koschey_now() - interval '60 days' FROM file"
        " WHERE file.id = file_id AND state = 'released' AND filename NOT LIKE 'new-%'"
    )
    await connection.execute(
        "INSERT INTO download (index_id, file_id)"
        " SELECT index.id, file.id FROM index, file WHERE filename LIKE 'downloaded-%'"
    )
    last = await update_wanted(pool, QUIET, 0, 3)
    assert await update_wanted(pool, QUIET, last, 3) == 0
    wanted = ["downloaded", "held", "new", "never", "old"]
    assert await select_stale_projects(pool, timedelta(minutes=10), [], 9) == wanted
    assert await select_stale_projects(pool, timedelta(minutes=10), [], 2) == wanted[:2]
    # One that is being changed keeps its value, and delays nobody.
    async with connection.transaction():
        await connection.execute("UPDATE standing SET state = 'released' WHERE state = 'held'")
        await connection.execute("SELECT FROM project WHERE name = 'held' FOR UPDATE")
        await connection.execute("UPDATE standing SET available_at = koschey_now() - interval '60 days'")
        async with asyncio.timeout(5):
            await update_wanted(pool, QUIET, 0, 9)
    await update_wanted(pool, QUIET, 0, 9)
    await connection.execute("UPDATE project SET looked_at = koschey_now() WHERE name = 'never'")
    expected = ["downloaded", "old", "held", "new"]
    assert await select_stale_projects(pool, timedelta(minutes=10), [], 9) == expected


async def test_names_are_in_the_order_of_their_releases(pool: Pool, connection: Connection) -> None:
    """A name is used from its first release on, its rank is counted later, and a name without releases is not used."""
    await insert_project(connection, NormalizedName("private"), "private", Origin.HOSTED)
    for name, number in {"few": 1, "gone": 2, "many": 3, "some": 2, "private": 1}.items():
        files = [new_file(f"{name}-{n}.0-py3-none-any.whl", State.RELEASED) for n in range(number)]
        await add_project(connection, name, files)
    await add_project(connection, "pending", [new_file("pending-1.0-py3-none-any.whl")])
    assert await select_used_names(pool, 9) == ["private", "few", "gone", "many", "some"]
    await connection.execute(
        "UPDATE standing SET state = 'blocked' FROM file WHERE file.id = file_id AND filename LIKE 'gone-%'"
    )
    last = await update_releases(pool, 0, 3)
    assert await update_releases(pool, last, 3) == 0
    assert await select_used_names(pool, 9) == ["private", "many", "some", "few"]
    assert await select_used_names(pool, 2) == ["private", "many"]
    # One that another process counts keeps its value, and delays nobody.
    await connection.execute("UPDATE standing SET state = 'blocked' WHERE state = 'released'")
    async with connection.transaction():
        await connection.execute("SELECT FROM debut FOR UPDATE")
        async with asyncio.timeout(5):
            await update_releases(pool, 0, 9)
    assert len(await select_used_names(pool, 9)) == 4
    await update_releases(pool, 0, 9)
    assert await select_used_names(pool, 9) == []
