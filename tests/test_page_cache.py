"""The cache of pages: what is kept, and above all what is not."""

import gzip
from typing import cast

import pytest
from packaging.utils import NormalizedName

from koschey.db.pool import Pool
from koschey.index import pages
from koschey.index.pages import PROJECT_LIST, Page, PageCache, Pages, Variant
from koschey.index.refresh import Refresher
from koschey.model import Serial
from koschey.standards.negotiation import Form

SPAM, EGGS, HAM = NormalizedName("spam"), NormalizedName("eggs"), NormalizedName("ham")


def page(size: int = 10) -> Page:
    return Page(Serial(1), {Form.JSON: Variant(b"x" * size, "etag")})


class Trust:
    """Whether the listening connection is up."""

    up = True

    def __call__(self) -> bool:
        return self.up


@pytest.fixture
def trust() -> Trust:
    return Trust()


@pytest.fixture
def cache(trust: Trust) -> PageCache:
    return PageCache(trust)


def keep(cache: PageCache, *names: NormalizedName, size: int = 10) -> None:
    for name in names:
        cache.put(name, page(size), cache.changes)


def kept(cache: PageCache) -> set[NormalizedName]:
    return {name for name in (SPAM, EGGS, HAM, PROJECT_LIST) if cache.get(name)}


def test_a_page_is_kept(cache: PageCache) -> None:
    """What was put is what is found, until another is put in its place."""
    first, second = page(), page()
    cache.put(SPAM, first, cache.changes)
    assert cache.get(SPAM) is first
    cache.put(SPAM, second, cache.changes)
    assert cache.get(SPAM) is second
    assert cache.get(EGGS) is None


def test_a_change_forgets_the_page_and_the_list(cache: PageCache) -> None:
    """A commit to a project removes its page and the project list, and nothing else."""
    keep(cache, SPAM, EGGS, PROJECT_LIST)
    cache.forget("spam")
    assert kept(cache) == {EGGS}


def test_a_page_older_than_a_change_is_not_kept(cache: PageCache) -> None:
    """A page whose rows were read before a change was heard of is answered once and never kept."""
    before = cache.changes
    cache.forget("spam")
    cache.put(SPAM, page(), before)
    assert kept(cache) == set()
    cache.put(SPAM, page(), cache.changes)
    assert kept(cache) == {SPAM}


def test_a_page_older_than_a_lost_connection_is_not_kept(cache: PageCache) -> None:
    """What was read before everything was forgotten is not kept either."""
    before = cache.changes
    keep(cache, SPAM, EGGS)
    cache.forget_all()
    cache.put(SPAM, page(), before)
    assert kept(cache) == set()


def test_nothing_is_trusted_while_nobody_listens(cache: PageCache, trust: Trust) -> None:
    """Without the listening connection nothing is found and nothing is kept."""
    keep(cache, SPAM)
    trust.up = False
    assert kept(cache) == set()
    keep(cache, EGGS)
    trust.up = True
    assert kept(cache) == {SPAM}


def test_the_least_recently_used_leave_first(cache: PageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound, and what was asked for last stays."""
    monkeypatch.setattr(pages, "CACHE_BYTES", 2 * page().weight)
    keep(cache, SPAM, EGGS)
    assert cache.get(SPAM)
    keep(cache, HAM)
    assert kept(cache) == {SPAM, HAM}


def test_weight_is_given_back(cache: PageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that were replaced, forgotten or pushed out weigh nothing any more."""
    monkeypatch.setattr(pages, "CACHE_BYTES", 2 * page().weight)
    for _ in range(5):
        keep(cache, SPAM, SPAM)
        cache.forget("spam")
        keep(cache, SPAM)
        cache.forget_all()
    keep(cache, SPAM, EGGS)
    assert kept(cache) == {SPAM, EGGS}


def test_a_page_that_is_too_large_is_not_kept(cache: PageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page larger than the whole cache is served, and the cache goes on to work."""
    monkeypatch.setattr(pages, "CACHE_BYTES", 2 * page().weight)
    keep(cache, SPAM, size=1000)
    assert kept(cache) == set()
    keep(cache, EGGS)
    assert kept(cache) == {EGGS}


def test_compression_is_done_once_and_is_the_same_everywhere() -> None:
    """The compressed body is made once, and is the same bytes in every process, as its ETag promises."""
    first, second = Variant(b"page" * 1000, "etag"), Variant(b"page" * 1000, "etag")
    assert first.zipped is first.zipped
    assert first.zipped == second.zipped
    assert gzip.decompress(first.zipped) == first.body


class Looks:
    """In place of the refresher: notes which projects are to be looked at behind the answer."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_behind(self, name: NormalizedName) -> None:
        self.names.append(name)


def test_an_old_page_is_refreshed_behind_the_answer(cache: PageCache) -> None:
    """A page older than its freshness is answered at once and looked at again, once for each such span."""
    looks = Looks()
    served = Pages(cast(Pool, None), cache, cast(Refresher, looks), freshness=600)
    keep(cache, SPAM, PROJECT_LIST)
    assert served.cached(SPAM)
    assert looks.names == []
    for name in (SPAM, PROJECT_LIST):
        old = cache.get(name)
        assert old is not None
        old.built_at -= 601
        assert served.cached(name) is old
        assert served.cached(name) is old
    assert looks.names == ["spam"]  # the list is no project: nobody is asked for it
    assert served.cached(EGGS) is None
