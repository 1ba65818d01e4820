"""What caches between the index and its clients may keep: no file by default, and never one that needs a login."""

from collections.abc import Iterator, Mapping

import pytest

from tests.support.app_in_process import NOBODY, AppInProcess, Who
from tests.support.postgres import Postgres
from tests.support.upstream.server import Upstream, UpstreamFile

PRIVATE = "private, max-age=31536000, immutable"
SHARED = "public, max-age=31536000, s-maxage=600, immutable"


@pytest.fixture(scope="module")
def shared(postgres: Postgres, s3: Mapping[str, str], shared_upstream: Upstream) -> Iterator[AppInProcess]:
    """An index whose operator lets shared caches keep files for ten minutes."""
    with AppInProcess(postgres, s3, shared_upstream, shared_caching_seconds=600) as running:
        yield running


@pytest.fixture(scope="module")
def closed(postgres: Postgres, s3: Mapping[str, str], shared_upstream: Upstream) -> Iterator[AppInProcess]:
    """The same for an index that is read with a login."""
    with AppInProcess(postgres, s3, shared_upstream, anonymous=False, shared_caching_seconds=600) as running:
        yield running


def published(app: AppInProcess, upstream: Upstream, project: str, who: Who) -> UpstreamFile:
    """A released wheel that is not stored yet."""
    file = upstream.add(project, "1.0", size=2 * 2**20)
    assert app.ask(f"/simple/{project}/", who=who).status == 200
    return file


def said(app: AppInProcess, file: UpstreamFile, who: Who) -> list[tuple[int, str]]:
    """What every answer about a file says to caches: parts and the whole, cold and stored, and what stands beside."""
    asks: list[tuple[str, str, dict[str, str]]] = [
        (file.path, "HEAD", {}),
        (file.path, "GET", {"Range": "bytes=-100"}),
        (file.path, "GET", {}),
        (file.path, "GET", {"Range": "bytes=0-99"}),
        (file.path, "GET", {"If-None-Match": f'"{file.sha256}"'}),
        (f"{file.path}.metadata", "GET", {}),
        (f"{file.path}.provenance_url.json", "GET", {}),
    ]
    answers = [app.ask(path, method, Who("", {**who.headers, **headers})) for path, method, headers in asks]
    return [(answer.status, answer.headers["cache-control"]) for answer in answers]


STATUSES = [200, 206, 200, 206, 304, 200, 200]


def test_files_are_for_their_client_alone(app: AppInProcess, upstream: Upstream) -> None:
    """By default no shared cache keeps a file, a part of one, or what stands beside it."""
    file = published(app, upstream, "kept-by-one", NOBODY)
    assert said(app, file, NOBODY) == [(status, PRIVATE) for status in STATUSES]


def test_operator_lets_shared_caches_keep_files(shared: AppInProcess, upstream: Upstream) -> None:
    """With the setting a shared cache keeps files for so long, and then must ask again."""
    file = published(shared, upstream, "kept-by-all", NOBODY)
    assert said(shared, file, NOBODY) == [(status, SHARED) for status in STATUSES]


def test_files_behind_a_login_are_never_shared(closed: AppInProcess, upstream: Upstream) -> None:
    """Where reading needs a login, no cache gives one client's file to another, whatever the setting says."""
    who = closed.account(None)
    file = published(closed, upstream, "kept-by-login", who)
    assert said(closed, file, who) == [(status, PRIVATE) for status in STATUSES]


def test_shared_cache_learns_of_a_block_when_it_asks_again(shared: AppInProcess, upstream: Upstream) -> None:
    """A cache that revalidates a file which was blocked meanwhile is refused, and told to keep nothing of that."""
    file = published(shared, upstream, "blocked-in-cache", NOBODY)
    assert shared.ask(file.path).headers["cache-control"] == SHARED
    shared.decide("block", "blocked-in-cache", "1.0")
    for path in (file.path, f"{file.path}.metadata"):
        answers = shared.ask_all(path, If_None_Match=f'"{file.sha256}"')
        assert [answer.status for answer in answers] == [302, 403]
        assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize("path", ["/simple/kept-pages/", "/simple/", "/pypi/kept-pages/json"])
def test_pages_are_always_asked_for_again(shared: AppInProcess, upstream: Upstream, path: str) -> None:
    """The setting is about files: a page that a cache kept would hide a block, and a fresh release."""
    published(shared, upstream, "kept-pages", NOBODY)
    assert "max-age=0, must-revalidate" in shared.ask(path).headers["cache-control"]
