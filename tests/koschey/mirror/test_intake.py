"""Pages that are taken in: in portions, with the journal last, and never a part of a page that looks whole."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
from packaging.utils import NormalizedName

from koschey.db import journal
from koschey.db.left_out import select_left_out
from koschey.db.pool import Pool
from koschey.errors import UpstreamUnavailable
from koschey.mirror import portions
from koschey.mirror.intake import PageIntake
from koschey.mirror.portions import divide
from koschey.model import LeftOutCause, LeftOutFile, ProjectStatus, StandingFile, State, UpstreamFile, UpstreamPage
from koschey.policy.availability import describe
from koschey.quarantine.decide import Choice
from koschey.quarantine.explanations import load_snapshot
from tests.support.mirror import DAY, Mirror, mirroring
from tests.support.rows import NOON, WEEK, digest_of
from tests.support.statements import recording
from tests.support.upstream.server import Upstream

OLD = NOON - 400 * DAY
WRITE_LINES = journal.write_lines


@pytest.fixture
async def mirror(pool: Pool, upstream: Upstream) -> AsyncIterator[Mirror]:
    """A mirror at noon."""
    async with mirroring(pool, upstream) as running:
        yield running


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions of a few files, so that small pages have many."""
    monkeypatch.setattr(portions, "PORTION", 10)


def publish(mirror: Mirror, name: str, files: int, *, first: int = 0) -> list[str]:
    """Have the upstream publish releases of one file each, a day apart."""
    return [
        mirror.upstream.add(
            name, f"1.{number}", filename=f"{name}-1.{number}.zip", content=b"x", upload_time=OLD + number * DAY
        ).filename
        for number in range(first, first + files)
    ]


async def test_what_is_left_out_is_kept_beside_the_project(mirror: Mirror) -> None:
    """The last reading of a page says which files it left out: 200 of them and their count; a release is explained."""
    name = NormalizedName("p-lost")
    good = {"filename": "p_lost-1.0.zip", "url": "p_lost-1.0.zip", "hashes": {}}
    lost = {**good, "filename": "p_lost-2.0.zip", "url": "ftp://files.example.org/p_lost-2.0.zip"}

    def answer(*files: object) -> None:
        mirror.upstream.clear_faults()
        body = json.dumps({"files": files}).encode()
        mirror.upstream.fault(name, status=200, body=body, content_type="application/vnd.pypi.simple.v1+json")

    answer(lost, *[5] * 300, good)
    await mirror.refresh(name)
    left_out = await select_left_out(mirror.pool, name)
    assert (len(left_out.files), left_out.count) == (200, 301)
    assert left_out.files[:2] == (
        LeftOutFile("p_lost-2.0.zip", LeftOutCause.NO_ADDRESS),
        LeftOutFile("(no name)", LeftOutCause.NO_FILE),
    )
    sight = await load_snapshot(mirror.pool, name, WEEK)
    explained = sight.explain("2.0.0")
    assert explained.state == "missing"
    assert "p_lost-2.0.zip, which is left out: its address is not an http or https URL" in explained.reason
    assert explained.left_out == left_out.files[:1]
    assert sight.explain("1.0").left_out == ()
    assert [*describe(explained)["left_out"]] == [{"name": "p_lost-2.0.zip", "cause": "no-address"}]
    answer(lost, good)
    await mirror.refresh(name)
    assert (await select_left_out(mirror.pool, name)).count == 1
    answer(good)
    await mirror.refresh(name)
    assert (await select_left_out(mirror.pool, name)).files == ()


async def serials(mirror: Mirror) -> list[list[str]]:
    """The filenames of each transaction that wrote to the journal, in order."""
    rows = await mirror.pool.fetch("SELECT filename, xmin::text AS writer FROM journal ORDER BY serial")
    written: dict[str, list[str]] = {}
    for row in rows:
        written.setdefault(row["writer"], []).append(row["filename"])
    return list(written.values())


EMPTY = (
    (b'{"meta": {"api-version": "1.0"}, "name": "p-none", "files": []}', "application/vnd.pypi.simple.v1+json"),
    (b"<!DOCTYPE html><html><body><h1>Links</h1></body></html>", "text/html"),
)


@pytest.mark.parametrize(("body", "kind"), EMPTY)
async def test_empty_page_of_an_unknown_name_is_no_project(mirror: Mirror, body: bytes, kind: str) -> None:
    """Some indexes have a page for every name: one that lists nothing is not found, and leaves nothing behind."""
    fault = mirror.upstream.fault("p-none", status=200, body=body, content_type=kind)
    for _ in range(3):
        assert await mirror.refresher.find(NormalizedName("p-none")) is None
    assert fault.applied == 1
    assert await mirror.pool.fetchval("SELECT count(*) FROM project") == 0


async def test_page_comes_in_portions(mirror: Mirror, small: None) -> None:
    """A page of many files is many transactions, each with its own rows of the journal, and all files are there."""
    names = publish(mirror, "p-many", 35)
    assert list(await mirror.refresh("p-many")) == names
    assert [len(written) for written in await serials(mirror)] == [10, 10, 10, 5]
    assert await mirror.served("p-many") == names
    # The next look finds nothing to write, and says nothing.
    await mirror.refresh("p-many")
    assert await mirror.pool.fetchval("SELECT count(*) FROM journal") == 35


async def test_later_portion_that_fails_takes_nothing_back(mirror: Mirror, small: None) -> None:
    """What was written is kept, the look has not taken place, and the next one takes over only what is left."""
    names = publish(mirror, "p-broken", 35)
    calls = iter(range(100))

    async def fail(*given: Any) -> Any:
        if next(calls) >= 2:
            raise OSError("the process died")
        return await WRITE_LINES(*given)

    with patch.object(journal, "write_lines", fail), pytest.raises(OSError, match="died"):
        await mirror.refresh("p-broken")
    assert list(await mirror.files("p-broken")) == names[:20]
    assert await mirror.pool.fetchval("SELECT looked_at FROM project") is None
    await mirror.refresh("p-broken")
    assert [len(written) for written in await serials(mirror)] == [10, 10, 10, 5]
    assert await mirror.served("p-broken") == names
    assert await mirror.pool.fetchval("SELECT looked_at FROM project") == mirror.now


async def test_part_of_a_page_is_never_served_as_all_of_it(mirror: Mirror, small: None) -> None:
    """Who asks for a project whose first look is under way, or was cut short, waits for all of it or is refused."""
    name = NormalizedName("p-partial")
    names = publish(mirror, name, 35)
    second, go_on = asyncio.Event(), asyncio.Event()
    calls = iter(range(100))

    async def pause(*given: Any) -> Any:
        if next(calls) == 1:
            second.set()
            await go_on.wait()
        return await WRITE_LINES(*given)

    with patch.object(journal, "write_lines", pause):
        first = asyncio.create_task(mirror.refresher.find(name))
        await second.wait()
        assert len(await mirror.files(name)) == 10
        others = [asyncio.create_task(mirror.refresher.find(name)) for _ in range(3)]
        await asyncio.wait(others, timeout=0.3)
        assert not any(task.done() for task in (first, *others))
        go_on.set()
        await asyncio.gather(first, *others)
    assert await mirror.served(name) == names
    assert mirror.upstream.count(f"/simple/{name}/") == 1
    await mirror.pool.execute("UPDATE project SET looked_at = NULL")
    mirror.upstream.fault(f"/simple/{name}/", status=503)
    with pytest.raises(UpstreamUnavailable):
        await mirror.refresher.find(name)


async def test_time_releases_nothing_on_a_look_that_did_not_end(mirror: Mirror, small: None) -> None:
    """The second look at the end of a window counts once its last portion is written, and not before."""
    file = mirror.upstream.add("p-second", "1.0", upload_time=NOON)
    await mirror.refresh("p-second")
    await mirror.store("p-second")
    publish(mirror, "p-second", 25, first=1)
    await mirror.wait(8 * DAY)

    async def fail(*_: Any) -> Any:
        raise OSError("the process died")

    with patch.object(journal, "write_lines", fail), pytest.raises(OSError, match="died"):
        await mirror.refresh("p-second")
    with patch.object(journal, "write_lines", fail), pytest.raises(OSError, match="died"):
        await mirror.settle("p-second")
    assert (await mirror.states("p-second"))[file.filename] is State.HELD
    await mirror.settle("p-second")
    assert (await mirror.states("p-second"))[file.filename] is State.RELEASED


async def test_moment_of_a_look_is_when_its_page_was_asked_for(mirror: Mirror) -> None:
    """A page that takes long is as old as the question: a window that ends meanwhile needs another look."""
    mirror.upstream.add("p-slow", "1.0", upload_time=NOON)
    hold = mirror.upstream.hold("/simple/p-slow/")
    task = asyncio.create_task(mirror.refresher.refresh(NormalizedName("p-slow")))
    while not mirror.upstream.count("/simple/p-slow/"):
        await asyncio.sleep(0.01)
    await mirror.wait(DAY)
    hold.release()
    await task
    assert await mirror.pool.fetchval("SELECT looked_at FROM project") == NOON


async def test_writer_in_the_way_only_delays(mirror: Mirror, small: None) -> None:
    """A portion that PostgreSQL cancels, or picks as the victim of a deadlock, is written again."""
    names = publish(mirror, "p-again", 25)
    errors: list[BaseException] = [
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        TimeoutError(),
    ]

    async def stumble(*given: Any) -> Any:
        if errors:
            raise errors.pop()
        return await WRITE_LINES(*given)

    with patch.object(journal, "write_lines", stumble), patch("koschey.mirror.intake.RETRY_PAUSE", 0.01):
        await mirror.refresh("p-again")
    assert await mirror.served("p-again") == names
    assert mirror.upstream.count("/simple/p-again/") == 1


async def test_block_between_two_portions_counts(mirror: Mirror, small: None) -> None:
    """A decision that comes while a page is taken in is in force for the portions that follow."""
    publish(mirror, "p-blocked", 25)
    write = PageIntake._write

    async def write_then_block(self: PageIntake, plan: Any, portion: Any) -> Any:
        written = await write(self, plan, portion)
        if portion.is_first:
            await mirror.decide(Choice.BLOCK, "p-blocked", None)
        return written

    with patch.object(PageIntake, "_write", write_then_block):
        await mirror.refresh("p-blocked")
    assert set((await mirror.states("p-blocked")).values()) == {State.BLOCKED}


async def test_journal_is_the_last_that_an_intake_says(database: str, upstream: Upstream) -> None:
    """Nothing follows the journal's counter but the commit: looks, settlings and their alerts included."""
    async with recording(database) as (pool, recorder), mirroring(pool, upstream) as mirror:
        upstream.add("c-last", "1.0", upload_time=NOON)
        upstream.add("c-last", "0.9", upload_time=OLD)
        upstream.add("c-last", "0.8", upload_time=NOON - 10 * DAY)
        await mirror.refresh("c-last")
        await mirror.store("c-last")
        upstream.remove("c_last-0.8-py3-none-any.whl")
        upstream.replace("c_last-0.9-py3-none-any.whl", b"other bytes")
        upstream.add("c-last", "0.9", sdist=True, upload_time=NOON)
        await mirror.refresh("c-last")
        await mirror.confirm("c-last")
        upstream.set_status("c-last", "quarantined", "malware")
        await mirror.refresh("c-last")
        upstream.set_status("c-last", "active")
        await mirror.refresh("c-last")
        await mirror.wait(8 * DAY)
        await mirror.settle("c-last")
        kinds = {row["kind"] for row in await pool.fetch("SELECT kind FROM alert")}
        assert kinds >= {"absence suspected", "absence confirmed", "conflict", "late file", "project quarantined"}
        assert len(recorder.after_journal) >= 5
        assert not any(recorder.after_journal), recorder.after_journal


def listed(name: str, version: str, uploaded: timedelta) -> UpstreamFile:
    """A file as a page lists it."""
    url = f"https://files.example.org/{name}"
    return UpstreamFile(name, version, url, digest_of(name), 1, OLD + uploaded, None, None, None)


def test_portions_take_away_first_and_divide_no_release(small: None) -> None:
    """What is gone or changed comes before what is new; releases come whole, the oldest first; one page is one look."""
    releases = [[listed(f"d-{v}.{n}.zip", f"{v}", v * DAY) for n in range(4)] for v in (3, 1, 5, 2, 4)]
    page = UpstreamPage(tuple(file for release in releases for file in release))
    parts = divide(page, {}, NOON)
    assert [[file.version for file in part.new] for part in parts] == [
        ["1"] * 4 + ["2"] * 4,
        ["3"] * 4 + ["4"] * 4,
        ["5"] * 4,
    ]
    assert [(part.is_first, part.is_last) for part in parts] == [(True, False), (False, False), (False, True)]
    whole = divide(UpstreamPage(page.files[:10]), {}, NOON)
    assert [file.filename for file in whole[0].new] == [file.filename for file in page.files[:10]]
    assert (whole[0].is_first, whole[0].is_last, len(whole)) == (True, True, 1)


async def test_portions_of_a_known_page(mirror: Mirror, small: None) -> None:
    """Of a known page only what changed is written, and what vanished is written before what is new."""
    names = publish(mirror, "p-known", 12)
    known: dict[str, StandingFile] = await mirror.refresh("p-known")
    same = UpstreamPage(
        tuple(
            UpstreamFile(
                item.file.filename, item.file.version, item.file.upstream_url or "", item.file.sha256, 1,
                item.file.upload_time, None, None, None,
            )
            for item in known.values()
        )
    )  # fmt: skip
    [nothing] = divide(same, known, NOON)
    assert not nothing.filenames
    new = tuple(listed(f"p_known-2.{n}.zip", f"2.{n}", n * DAY) for n in range(8))
    parts = divide(UpstreamPage((*new, *same.files[5:])), known, NOON)
    assert [(len(part.missing), len(part.new)) for part in parts] == [(5, 0), (0, 8)]
    assert list(parts[0].missing) == names[:5]
    [closed] = divide(UpstreamPage((), ProjectStatus.QUARANTINED), known, NOON)
    assert not closed.filenames
