"""Section 20: reading with authentication. An index of its own, which nobody reads without a login."""

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from koschey.app import create_front
from koschey.settings import Settings
from tests.support import archives
from tests.support.commands import pip, uv
from tests.support.koschey_up import JSON, Koschey, ask, wait_until
from tests.support.uploads import encoded, form, post
from tests.support.upstream.server import Upstream


@pytest.fixture(scope="module")
def closed(folder: Path, shared_upstream: Upstream) -> Iterator[Koschey]:
    """An index that asks for a login."""
    with Koschey(folder / "closed", shared_upstream.url, anonymous=False) as running:
        yield running


def basic(user: str, password: str) -> str:
    """The value of an `Authorization` header."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def login(closed: Koschey) -> str:
    """The admin's token, as installers send it."""
    return basic("__token__", closed.ready["upload_token"])


def test_t_20_1(closed: Koschey, upstream: Upstream) -> None:
    """If reading needs a login, other clients get 401 with a challenge for a page, a file and its metadata."""
    file = upstream.add("t-secret", "1.0")
    addresses = [f"{closed.index_url}t-secret/", closed.url + file.path, f"{closed.url}{file.path}.metadata"]
    for url in addresses:
        for authorization in ("", basic("__token__", "kos_wrong"), basic("a", "b"), "Bearer x", "Basic !"):
            for method in ("GET", "HEAD"):
                answer = ask(url, method=method, Authorization=authorization)
                assert answer.status == 401
                assert answer.headers["www-authenticate"].startswith("Basic realm=")
                assert answer.headers["cache-control"] == "no-store"
    assert upstream.count("t-secret") == 0
    for url in addresses:
        answer = ask(url, Authorization=login(closed))
        assert answer.status == 200
        assert answer.headers["cache-control"].startswith("private, ")
    # Now in memory, and as closed as before.
    assert [ask(url).status for url in addresses] == [401, 401, 401]


def test_every_route_is_closed_or_asks_for_itself(closed: Koschey) -> None:
    """Without a login no route but those that ask for one themselves answers anything, however it is spelled."""
    settings = Settings.model_validate({"database_url": "postgresql://localhost/none"})
    open_to_all = {"/_/live", "/_/ready", "/_/health", "/legacy", "/legacy/", "/api/v1/openapi.json"}
    for rule in create_front(settings).quart.url_map.iter_rules():
        method = min((rule.methods or set()) - {"HEAD", "OPTIONS"})
        path = rule.rule.replace("<path:rest>", "aa/bb/x.whl")
        for name in rule.arguments:
            path = path.replace(f"<{name}>", "spam").replace(f"<path:{name}>", "spam")
        status = ask(closed.url + path, method=method).status
        if path.startswith("/admin") or path in open_to_all:
            assert status in (200, 302, 303, 400, 403, 404, 405), path
        else:
            assert status == 401, path
    for path in ("//simple/", "/Simple/", "/simple/../simple/", "/legacy/%2Bsimple/spam/", "/x"):
        assert ask(closed.url + path).status in (401, 404), path
    below_admin = ask(f"{closed.url}/admin%2f../simple/")
    assert b"Simple index" not in below_admin.body
    assert b"Log in" in below_admin.body


def test_installers_log_in(closed: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """pip and uv install with a login in the index URL, and not without one; uploads go on as before."""
    upstream.add("t-login", "1.0")
    index = closed.index_url.replace("://", f"://__token__:{closed.ready['upload_token']}@")
    pip("install", "--target", str(tmp_path / "a"), "--index-url", index, "t-login")
    uv("pip", "install", "--target", str(tmp_path / "b"), "--index-url", index, "t-login")
    for folder in ("a", "b"):
        assert (tmp_path / folder / "t_login-1.0.dist-info").is_dir()
    for client in (pip, lambda *words: uv("pip", *words)):
        with pytest.raises(subprocess.CalledProcessError):
            client("install", "--target", str(tmp_path / "c"), "--index-url", closed.index_url, "t-login")
    name, content = archives.wheel("t-own", "1.0")
    assert post(closed, encoded(form(name, content), name, content)).status == 200
    page = ask(f"{closed.index_url}t-own/", Accept=JSON, Authorization=login(closed))
    assert [file["filename"] for file in page.json["files"]] == [name]


def test_revoked_token_reads_no_more(closed: Koschey) -> None:
    """A token that was revoked reads nothing some seconds later, in memory or not."""
    url = f"{closed.index_url}"
    assert ask(url, Authorization=login(closed)).status == 200
    closed.fetch_value("UPDATE token SET revoked_at = now() RETURNING 1")
    try:
        wait_until(lambda: ask(url, Authorization=login(closed)).status == 401)
    finally:
        closed.fetch_value("UPDATE token SET revoked_at = NULL RETURNING 1")
