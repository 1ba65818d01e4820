"""The first page of a project: one statement writes what the intake would write, and it is served without a read."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
from packaging.utils import NormalizedName

from koschey.addresses import Addresses
from koschey.db import files, projects
from koschey.db.pool import Pool
from koschey.db.rules import select_rules
from koschey.mirror import portions
from koschey.mirror.first_page import FirstPages, Part, Sight
from koschey.mirror.intake import PageIntake
from koschey.mirror.portions import Portion
from koschey.model import Origin, State
from koschey.policy.rules import RuleKind
from koschey.quarantine.decide import Choice
from koschey.serving.served import Served
from tests.support.mirror import DAY, Mirror, mirroring
from tests.support.rows import NOON, WEEK, add_project, new_file
from tests.support.upstream.server import Upstream

OLD = NOON - 400 * DAY
TABLES = {
    "project": "to_jsonb(project) - 'id'",
    "file": "to_jsonb(file) - 'id' - 'project_id'",
    "standing": "to_jsonb(standing) - 'file_id' - 'cause_transaction'",
    "journal": "to_jsonb(journal) - 'at'",
    "outbox": "to_jsonb(outbox) - 'id'",
    "alert": "to_jsonb(alert) - 'id'",
    "debut": "to_jsonb(debut) - 'project_id'",
    "lease": "to_jsonb(lease)",
    "finding": "to_jsonb(finding) - 'id' - 'file_id'",
}
RULES = {
    "no rule": (),
    "a trusted project": ((RuleKind.TRUSTED, ""),),
    "a blocked upstream": ((RuleKind.BLOCKED, ""),),
    "a longer window": ((RuleKind.WINDOW, "1000"),),
    "first seen": ((RuleKind.FIRST_SEEN, ""), (RuleKind.WINDOW, "0")),
    "only what is allowed": ((RuleKind.ALLOWED_ONLY, ""), (RuleKind.OBSERVED, "")),
    "announced": ((RuleKind.ANNOUNCED, ""), (RuleKind.ATTESTED, "")),
}


@pytest.fixture
async def mirror(pool: Pool, upstream: Upstream) -> AsyncIterator[Mirror]:
    """A mirror at noon."""
    async with mirroring(pool, upstream) as running:
        yield running


def publish(mirror: Mirror, name: str) -> NormalizedName:
    """Have the upstream publish files of all kinds."""
    add = mirror.upstream.add
    add(name, "1.0", upload_time=OLD, requires_python=">=3.9")
    add(name, "1.1", upload_time=OLD + DAY, yanked="it <breaks>")
    add(name, "1.2", upload_time=OLD + 2 * DAY, core_metadata=False)
    add(name, "1.3", upload_time=NOON - timedelta(hours=1), sdist=True)
    add(name, "1.4", upload_time=NOON + DAY, provenance=lambda *_: b"{}")
    add(name, "none", upload_time=OLD, filename=f"other-{name}.zip", content=b"x")
    return NormalizedName(name)


async def see(mirror: Mirror, name: str) -> Sight:
    """Request a page for the first time; returns what the statement wrote."""
    _, sight = await mirror.refresher.see(NormalizedName(name))
    assert sight is not None
    return sight


async def rows(mirror: Mirror) -> dict[str, list[Any]]:
    """All rows that a first page writes."""
    query = "SELECT {1} FROM {0} ORDER BY ({1})::text"
    return {
        table: [row[0] for row in await mirror.pool.fetch(query.format(table, columns))]
        for table, columns in TABLES.items()
    }


async def forget_all(mirror: Mirror) -> None:
    """Remove all rows that a first page has written."""
    guarded = (
        "project",
        "file",
        "standing",
        "journal",
        "journal_digest",
        "download",
        "forgotten_download",
        "origin_change",
    )
    async with mirror.pool.acquire() as connection, connection.transaction():
        for table in guarded:
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await connection.execute("UPDATE journal_head SET serial = 0, at = '-infinity'")
        await connection.execute(f"TRUNCATE {', '.join(TABLES)}, journal_digest CASCADE")
        for table in guarded:
            await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.mark.parametrize("rules", RULES)
async def test_what_is_served_equals_the_rows(mirror: Mirror, rules: str) -> None:
    """The statement's caller has the project, its files and its rules exactly as the next statement reads them."""
    for kind, value in RULES[rules]:
        await mirror.rule(kind, value)
    name = publish(mirror, "fp-rows")
    if rules == "a blocked upstream":
        assert await mirror.refresher.see(name) == (None, None)
        await mirror.pool.execute("DELETE FROM rule")
    sight = await see(mirror, name)
    assert sight.files == await files.select_project_files(mirror.pool, name)
    assert len(sight.files) == 6
    assert sight.view.project == await projects.select_project(mirror.pool, name)
    assert sight.view.rules == await select_rules(mirror.pool, name)
    assert sight.view.now == mirror.now
    served = Served(mirror.pool, Addresses("https://index.example.org"), mirror.upstream.url, WEEK)
    page = await served.load(name, sight)
    assert page == await served.load(name)
    assert page is not None
    assert page.serial == await mirror.pool.fetchval("SELECT serial FROM journal_head")


@pytest.mark.parametrize("rules", [name for name in RULES if name != "a blocked upstream"])
async def test_it_writes_what_the_intake_writes(mirror: Mirror, rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row, message, journal entry and alert is the same, except for the numbers of rows."""
    for kind, value in RULES[rules]:
        await mirror.rule(kind, value)
    name = publish(mirror, "fp-same")
    await see(mirror, name)
    written = await rows(mirror)
    assert len(written["file"]) == len(written["standing"]) == len(written["journal"]) == 6
    await forget_all(mirror)

    async def refuse(*given: object) -> None:
        return None

    monkeypatch.setattr(FirstPages, "write", refuse)
    by_intake = await see(mirror, name)
    assert await rows(mirror) == written
    assert by_intake.files == await files.select_project_files(mirror.pool, name)


@pytest.mark.parametrize("is_disturbed", [False, True])
async def test_page_of_many_portions(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, is_disturbed: bool) -> None:
    """It is served from what was written, unless another writer has changed the project between two portions."""
    monkeypatch.setattr(portions, "PORTION", 2)
    name, write = publish(mirror, "fp-long"), PageIntake._write

    async def write_then_disturb(self: PageIntake, plan: Any, portion: Portion) -> Part:
        written = await write(self, plan, portion)
        if is_disturbed and portion.is_first:
            await mirror.decide(Choice.BLOCK, name, "1.0")
        return written

    monkeypatch.setattr(PageIntake, "_write", write_then_disturb)
    project, sight = await mirror.refresher.see(name)
    assert project == await projects.select_project(mirror.pool, name)
    if is_disturbed:
        assert sight is None
        assert (await mirror.states(name))["fp_long-1.0-py3-none-any.whl"] is State.BLOCKED
    else:
        assert sight is not None
        assert sight.files == await files.select_project_files(mirror.pool, name)
        assert sight.view[:2] == (project, await select_rules(mirror.pool, name))


@pytest.mark.parametrize("kind", [RuleKind.BLOCKED, RuleKind.ALLOWED_ONLY])
async def test_rule_that_comes_while_the_page_is_downloaded_counts(mirror: Mirror, kind: RuleKind) -> None:
    """The files are judged again under it: what was judged before is not written."""
    name = publish(mirror, "fp-rule")
    hold = mirror.upstream.hold(f"/simple/{name}/")
    looking = asyncio.create_task(mirror.refresher.see(name))
    await asyncio.to_thread(hold.wait)
    await mirror.rule(kind)
    hold.release()
    await looking
    states = set((await mirror.states(name)).values()) - {State.MALFORMED}
    assert states == {State.BLOCKED if kind is RuleKind.BLOCKED else State.HELD}
    assert await mirror.pool.fetch("SELECT key FROM lease") == []


async def test_advisory_that_comes_while_the_page_is_downloaded_counts(mirror: Mirror) -> None:
    """Malware is blocked at once, also if its advisory is as old as the request for the page."""
    name = publish(mirror, "fp-advisory")
    hold = mirror.upstream.hold(f"/simple/{name}/")
    looking = asyncio.create_task(mirror.refresher.see(name))
    await asyncio.to_thread(hold.wait)
    await mirror.pool.execute(
        """
        INSERT INTO advisory (id, project, malicious, summary, versions, pending)
        VALUES ('M-1', $1, true, 'bad', '{1.0}', true)
        """,
        name,
    )
    hold.release()
    await looking
    states = {item.file.version: item.standing.state for item in (await mirror.files(name)).values()}
    assert (states["1.0"], states["1.1"]) == (State.BLOCKED, State.RELEASED)
    assert await mirror.pool.fetchval("SELECT count(*) FROM advisory WHERE pending") == 0


async def test_name_that_is_uploaded_while_the_page_is_downloaded(mirror: Mirror) -> None:
    """The project is hosted, and nothing of the upstream's page is written."""
    name = publish(mirror, "fp-hosted")
    hold = mirror.upstream.hold(f"/simple/{name}/")
    looking = asyncio.create_task(mirror.refresher.see(name))
    await asyncio.to_thread(hold.wait)
    async with mirror.pool.acquire() as connection:
        await projects.insert_project(connection, name, name, Origin.HOSTED)
    hold.release()
    project, sight = await looking
    assert project is not None
    assert (project.origin, sight) == (Origin.HOSTED, None)
    assert await mirror.files(name) == {}
    assert await mirror.pool.fetchval("SELECT count(*) FROM journal") == 0


async def test_path_of_another_project_is_refused(mirror: Mirror) -> None:
    """One file is malformed; the page is written all the same, by the intake."""
    name = publish(mirror, "fp-path")
    taken = mirror.upstream.file("fp_path-1.0-py3-none-any.whl").path
    async with mirror.pool.acquire() as connection:
        await add_project(connection, "owner", [new_file("owner-1.0-py3-none-any.whl", path=taken)])
    sight = await see(mirror, name)
    assert sight.files == await files.select_project_files(mirror.pool, name)
    states = await mirror.states(name)
    assert len(states) == 6
    assert states["fp_path-1.0-py3-none-any.whl"] is State.MALFORMED
    assert states["fp_path-1.1-py3-none-any.whl"] is State.RELEASED


async def test_serials_of_many_first_pages_have_no_gaps(mirror: Mirror) -> None:
    """Projects that are added at the same time, some of them twice at once, take serials in the order of commits."""
    names = [publish(mirror, f"fp-many-{number}") for number in range(12)]
    found = await asyncio.gather(*(mirror.refresher.see(name) for name in (*names, *names)))
    assert all(each.project is not None for each in found)
    serials = [row["serial"] for row in await mirror.pool.fetch("SELECT serial FROM journal ORDER BY serial")]
    assert serials == list(range(1, 12 * 6 + 1))
    last = await mirror.pool.fetch("SELECT project, max(serial) AS serial FROM journal GROUP BY project")
    kept = await mirror.pool.fetch("SELECT name, serial FROM project")
    assert {tuple(row) for row in last} == {tuple(row) for row in kept}
    assert all(mirror.upstream.count(f"/simple/{name}/") == 1 for name in names)


ORPHANS = {
    "a file without a project": "INSERT INTO file (project_id, version, filename) VALUES (999, '1.0', 'a.whl')",
    "a state without a file": "INSERT INTO standing (index_id, file_id, state, reason) VALUES (1, 999, 'held', '')",
    "a state without an index": """
        INSERT INTO standing (index_id, file_id, state, reason) SELECT 99, id, 'held', '' FROM file LIMIT 1
    """,
    "a file that changes its project": "UPDATE file SET project_id = 999",
    "a state that changes its file": "UPDATE standing SET file_id = file_id + 100",
    "a state that changes its index": "UPDATE standing SET index_id = 99",
    "an index that is deleted": "DELETE FROM index",
    "a short digest": "UPDATE file SET core_metadata = repeat('a', 63)",
    "a long digest": "UPDATE file SET core_metadata = repeat('a', 65)",
    "a digest in capitals": "UPDATE file SET core_metadata = repeat('A', 64)",
    "a digest with a line break": "UPDATE file SET blake2b_256 = repeat('a', 63) || chr(10)",
    "no digest at all": "UPDATE file SET blake2b_256 = ''",
}


@pytest.mark.parametrize("statement", ORPHANS)
async def test_postgresql_refuses(mirror: Mirror, statement: str) -> None:
    """No row without its owner, and no malformed digest, whatever code writes it."""
    await see(mirror, publish(mirror, "fp-orphans"))
    before = await rows(mirror)
    with pytest.raises((asyncpg.ForeignKeyViolationError, asyncpg.RaiseError, asyncpg.CheckViolationError)):
        await mirror.pool.execute(ORPHANS[statement])
    assert await rows(mirror) == before


async def test_dead_connection_is_an_error_and_writes_nothing(mirror: Mirror) -> None:
    """The next request begins again."""
    name = publish(mirror, "fp-dead")
    dead = patch.object(FirstPages, "_write", side_effect=asyncpg.ConnectionDoesNotExistError)
    with dead, pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await mirror.refresher.see(name)
    assert await mirror.files(name) == {}
    assert len((await see(mirror, name)).files) == 6
