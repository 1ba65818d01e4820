"""The cache of pages: what is kept, and above all what is not."""

import asyncio
import gzip
import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.utils import NormalizedName

from koschey.db.journal import Entry, insert_entries
from koschey.db.pool import Connection, Pool
from koschey.db.projects import insert_project
from koschey.events import Event
from koschey.mirror.refresh import Refresher
from koschey.model import SYSTEM, File, Origin, Serial
from koschey.serving import cache as module
from koschey.serving import encoded
from koschey.serving.cache import ProjectCache
from koschey.serving.encoded import Encoded, EncodedPage, Variant, page_of
from koschey.serving.pages import Pages
from koschey.serving.project_list import ProjectList
from koschey.serving.snapshots import Snapshot, SnapshotCache
from koschey.standards.negotiation import Coding, Form

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SPAM, EGGS, HAM = NormalizedName("spam"), NormalizedName("eggs"), NormalizedName("ham")


def page(size: int = 10) -> EncodedPage:
    return EncodedPage(Serial(1), {Form.JSON: Variant(Encoded(b"x" * size), "etag")})


class Trust:
    """Whether the listening connection is up."""

    up = True

    def __call__(self) -> bool:
        return self.up


@pytest.fixture
def trust() -> Trust:
    return Trust()


@pytest.fixture
def cache(trust: Trust) -> ProjectCache[EncodedPage]:
    return ProjectCache(trust, limit=2 * page().weight)


@pytest.fixture(name="snapshots")
def _snapshots(trust: Trust) -> SnapshotCache:
    return SnapshotCache(trust, limit=100_000)


def keep(cache: ProjectCache[EncodedPage], *names: NormalizedName, size: int = 10) -> None:
    for name in names:
        cache.put(name, page(size), cache.changes)


def kept(cache: ProjectCache[EncodedPage]) -> set[NormalizedName]:
    return {name for name in (SPAM, EGGS, HAM) if cache.get(name)}


def test_a_page_is_kept(cache: ProjectCache[EncodedPage]) -> None:
    """What was put is what is found, until another is put in its place."""
    first, second = page(), page()
    cache.put(SPAM, first, cache.changes)
    assert cache.get(SPAM) is first
    cache.put(SPAM, second, cache.changes)
    assert cache.get(SPAM) is second
    assert cache.get(EGGS) is None


def test_a_change_forgets_the_page(cache: ProjectCache[EncodedPage]) -> None:
    """A commit to a project removes its page, and nothing else."""
    keep(cache, SPAM, EGGS)
    cache.forget("spam")
    assert kept(cache) == {EGGS}


def test_a_pattern_forgets_all_pages(cache: ProjectCache[EncodedPage]) -> None:
    """A reservation may cover any page, also of names that nobody knows."""
    keep(cache, SPAM, EGGS)
    cache.forget("sp-*")
    assert kept(cache) == set()


def test_a_page_older_than_a_change_is_not_kept(cache: ProjectCache[EncodedPage]) -> None:
    """A page whose rows were read before a change was heard of is answered once and never kept."""
    before = cache.changes
    cache.forget("spam")
    cache.put(SPAM, page(), before)
    assert kept(cache) == set()
    cache.put(SPAM, page(), cache.changes)
    assert kept(cache) == {SPAM}


def test_changes_of_others_do_not_matter(cache: ProjectCache[EncodedPage]) -> None:
    """A page is kept although another project changed while it was built."""
    before = cache.changes
    cache.forget("eggs")
    cache.put(SPAM, page(), before)
    assert kept(cache) == {SPAM}


def test_changes_that_are_no_longer_remembered(
    cache: ProjectCache[EncodedPage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many changes the oldest are forgotten: then every project may have changed."""
    monkeypatch.setattr(module, "REMEMBERED", 2)
    before = cache.changes
    cache.forget("spam")
    between = cache.changes
    for name in ("a", "b"):
        cache.forget(name)
    cache.put(SPAM, page(), before)
    assert kept(cache) == set()
    cache.put(SPAM, page(), between)
    assert kept(cache) == {SPAM}


def file(name: str) -> File:
    """A file of which only the path matters here."""
    return cast(File, SimpleNamespace(path=f"/packages/{name}"))


def snapshot(*names: str) -> Snapshot:
    """A snapshot with these files."""
    return Snapshot(page(), {found.path or "": found for found in map(file, names)})


def test_files_are_found_by_their_paths(snapshots: SnapshotCache) -> None:
    """A path leads to the project whose snapshot has it, until the snapshot goes or is replaced."""
    snapshots.put(SPAM, snapshot("a", "b"), snapshots.changes)
    assert snapshots.find_project("/packages/a") == SPAM
    snapshots.put(SPAM, snapshot("b", "c"), snapshots.changes)
    assert snapshots.find_project("/packages/a") is None
    assert snapshots.find_project("/packages/c") == SPAM
    snapshots.forget("spam")
    assert snapshots.find_project("/packages/c") is None
    snapshots.put(SPAM, snapshot("a"), snapshots.changes)
    snapshots.forget_all()
    assert snapshots._projects == {}


def test_paths_of_what_is_not_kept_are_forgotten(snapshots: SnapshotCache) -> None:
    """A snapshot that is outdated or too large leaves no paths behind."""
    before = snapshots.changes
    snapshots.forget("spam")
    snapshots.put(SPAM, snapshot("a"), before)
    snapshots.put(EGGS, snapshot(*map(str, range(1000))), snapshots.changes)
    assert snapshots._projects == {}


def test_a_page_older_than_a_lost_connection_is_not_kept(cache: ProjectCache[EncodedPage]) -> None:
    """What was read before everything was forgotten is not kept either."""
    before = cache.changes
    keep(cache, SPAM, EGGS)
    cache.forget_all()
    cache.put(SPAM, page(), before)
    assert kept(cache) == set()


def test_nothing_is_trusted_while_nobody_listens(cache: ProjectCache[EncodedPage], trust: Trust) -> None:
    """Without the listening connection nothing is found and nothing is kept."""
    keep(cache, SPAM)
    trust.up = False
    assert kept(cache) == set()
    keep(cache, EGGS)
    trust.up = True
    assert kept(cache) == {SPAM}


def test_the_least_recently_used_leave_first(cache: ProjectCache[EncodedPage]) -> None:
    """Memory has a bound, and what was asked for last stays."""
    keep(cache, SPAM, EGGS)
    assert cache.get(SPAM)
    keep(cache, HAM)
    assert kept(cache) == {SPAM, HAM}


def test_weight_is_given_back(cache: ProjectCache[EncodedPage]) -> None:
    """Pages that were replaced, forgotten or pushed out weigh nothing any more."""
    for _ in range(5):
        keep(cache, SPAM, SPAM)
        cache.forget("spam")
        keep(cache, SPAM)
        cache.forget_all()
    keep(cache, SPAM, EGGS)
    assert kept(cache) == {SPAM, EGGS}


def test_a_page_that_is_too_large_is_not_kept(cache: ProjectCache[EncodedPage]) -> None:
    """A page larger than the whole cache is served, and the cache goes on to work."""
    keep(cache, SPAM, size=1000)
    assert kept(cache) == set()
    keep(cache, EGGS)
    assert kept(cache) == {EGGS}


@pytest.mark.parametrize(("coding", "undo"), [(Coding.GZIP, gzip.decompress), (Coding.ZSTD, zstd.decompress)])
def test_compression_is_done_once_and_is_the_same_everywhere(coding: Coding, undo: Callable[[bytes], bytes]) -> None:
    """The compressed body is made once, and is the same bytes in every process, as its ETag promises."""
    first, second = Encoded(b"page" * 1000), Encoded(b"page" * 1000)
    assert first.get(coding) is first.get(coding)
    assert first.get(coding) == second.get(coding)
    assert undo(first.get(coding)) == first.plain


def test_large_bodies_are_compressed_elsewhere() -> None:
    """What takes long to compress is not at hand until somebody has compressed it in a thread."""
    small, large = Encoded(b"x"), Encoded(b"x" * (encoded.SMALL + 1))
    assert small.is_at_hand(Coding.GZIP)
    assert not large.is_at_hand(Coding.GZIP)
    large.get(Coding.GZIP)
    assert large.is_at_hand(Coding.GZIP)
    assert not large.is_at_hand(Coding.ZSTD)
    assert large.is_at_hand(Coding.IDENTITY)


def test_html_is_rendered_when_a_client_requests_it() -> None:
    """It is rendered once, has the ETags that its bytes determine, and weighs the same before and after."""
    calls: list[bytes] = []

    def render() -> bytes:
        calls.append(b"<html>" * 10)
        return calls[-1]

    later, at_once = page_of(Serial(1), b"{}" * 20, render), page_of(Serial(1), b"{}" * 20, b"<html>" * 10)
    weight = later.weight
    assert later.forms[Form.JSON].etag == at_once.forms[Form.JSON].etag
    assert calls == []
    for form in (Form.HTML, Form.TEXT_HTML, Form.JSON):
        assert later.forms[form].content.get(Coding.IDENTITY) == at_once.forms[form].content.plain
        assert later.forms[form].content.get(Coding.GZIP) == at_once.forms[form].content.get(Coding.GZIP)
    assert {form: later.forms[form].etag for form in Form} == {form: at_once.forms[form].etag for form in Form}
    assert len({later.forms[form].etag for form in Form}) == 3
    assert len(calls) == 1
    assert later.weight == weight


def test_long_html_is_rendered_elsewhere() -> None:
    """Where the other form of a page is long, rendering this one is not at hand in any coding."""
    content = page_of(Serial(1), b"x" * (encoded.SMALL + 1), lambda: b"<html>").forms[Form.HTML].content
    assert not content.is_at_hand(Coding.IDENTITY)
    assert content.get(Coding.IDENTITY) == b"<html>"
    assert content.is_at_hand(Coding.IDENTITY)


class Looks:
    """In place of the refresher: notes which projects are to be looked at behind the answer."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_in_background(self, name: NormalizedName) -> None:
        self.names.append(name)


def test_an_old_page_is_refreshed_behind_the_answer(snapshots: SnapshotCache) -> None:
    """A page older than its freshness is answered at once and looked at again, once for each such span."""
    looks = Looks()
    none = cast(Any, None)
    served = Pages(none, snapshots, cast(Refresher, looks), none, none, freshness=600)
    snapshots.put(SPAM, Snapshot(page()), snapshots.changes)
    old = served.cached(SPAM)
    assert old is not None
    assert looks.names == []
    old.built_at -= 601
    assert served.cached(SPAM) is old
    assert served.cached(SPAM) is old
    assert looks.names == ["spam"]
    assert served.cached(EGGS) is None


async def test_project_list_follows_the_journal(connection: Connection, pool: Pool) -> None:
    """T-5.1: the list names every project with the integer serial of its last change, and the greatest of all."""
    projects = ProjectList(pool, lambda: True)
    await change(connection, SPAM, EGGS)
    first = await listed(projects)
    assert first == {"spam": 1, "eggs": 2}
    await change(connection, HAM, SPAM)
    projects.change()
    assert await wait_for(projects, 4) == {"spam": 4, "eggs": 2, "ham": 3}


async def test_project_list_names_what_is_quarantined(connection: Connection, pool: Pool) -> None:
    """A quarantined project is listed with the serial of its quarantine, so that mirrors look at it again."""
    projects = ProjectList(pool, lambda: True)
    await change(connection, SPAM, EGGS)
    assert await listed(projects) == {"spam": 1, "eggs": 2}
    await connection.execute("UPDATE project SET status = 'quarantined' WHERE name = 'spam'")
    await change(connection, SPAM)
    projects.change()
    assert await wait_for(projects, 3) == {"spam": 3, "eggs": 2}


async def test_project_list_without_projects(pool: Pool) -> None:
    """An empty index has an empty list, with the serial 0."""
    page = await ProjectList(pool, lambda: True).get()
    assert json.loads(page.forms[Form.JSON].content.plain)["projects"] == []
    assert page.serial == 0


async def test_project_list_is_rendered_once_per_serial(connection: Connection, pool: Pool) -> None:
    """Any number of requests, and changes that are only feared, cost one rendering as long as the serial stands."""
    projects = ProjectList(pool, lambda: False)
    await change(connection, SPAM)
    made = await asyncio.gather(*(projects.get() for _ in range(20)))
    made.append(await projects.get())
    assert len({id(page) for page in made}) == 1


async def test_costly_project_list_is_renewed_behind_the_answer(connection: Connection, pool: Pool) -> None:
    """A list that takes long to make is served while a newer one is made, but not when it has grown old."""
    projects = ProjectList(pool, lambda: True)
    await change(connection, SPAM)
    first = await projects.get()
    projects._cost = 1.0
    await change(connection, EGGS)
    projects.change()
    assert projects.cached() is first  # young, compared with what it cost
    first.built_at -= 10 * projects._cost
    assert projects.cached() is first  # made anew behind this answer
    await asyncio.wait_for(projects._making.join(None, projects._make), 5)
    assert projects.cached() is not first
    projects._cost = 1.0
    projects.change()
    second = projects.cached()
    assert second is not None
    second.built_at -= 61
    assert projects.cached() is None


async def change(connection: Connection, *names: NormalizedName) -> None:
    """Commit a change to each of the projects."""
    for name in names:
        await insert_project(connection, name, name, Origin.MIRRORED)
        async with connection.transaction():
            await insert_entries(connection, SYSTEM, Event.CHECK, name, [Entry()])


async def listed(projects: ProjectList) -> dict[str, int]:
    """The names and serials of the list."""
    page = await projects.get()
    content = json.loads(page.forms[Form.JSON].content.plain)
    serials = [project["_last-serial"] for project in content["projects"]]
    assert max(serials) == content["meta"]["_last-serial"] == page.serial
    return {project["name"]: project["_last-serial"] for project in content["projects"]}


async def wait_for(projects: ProjectList, serial: int) -> dict[str, int]:
    """The list once it is as new as that."""
    while (await projects.get()).serial < serial:
        await asyncio.sleep(0.001)
    return await listed(projects)
