"""Names that no upstream may fill: reserved for private packages, or blocked before anything of them was seen."""

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from koschey.db.pool import Connection
from koschey.errors import NotAllowed, UsageError
from koschey.governance.reservations import parse_pattern, reserve, unreserve
from koschey.mirror.follower import Follower
from koschey.model import Actor
from tests.support.app_in_process import AppInProcess
from tests.support.archives import wheel
from tests.support.commands import uv
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.uploads import encoded, form, post
from tests.support.upstream.server import Upstream


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("acme", "acme"), ("Acme_Tools", "acme-tools"), ("acme-*", "acme-*"), ("A.c-*", "a-c-*"), (" acme ", "acme")],
)
def test_pattern(text: str, pattern: str) -> None:
    """A pattern is normalised as names are."""
    assert parse_pattern(text) == pattern


@pytest.mark.parametrize("text", ["", "*", "-*", "acme*", "ac*me", "acme-**", "acme-*-x", "a b", "acme\0-*"])
def test_no_pattern(text: str) -> None:
    """What is neither a name nor a name with `-*` behind it is refused, in words."""
    with pytest.raises(UsageError, match=r"is not a pattern|is not a project name"):
        parse_pattern(text)


async def test_only_who_decides_for_all_may_reserve(connection: Connection) -> None:
    """Nobody reserves names by a door where he has no permission, or without a reason."""
    with pytest.raises(NotAllowed):
        await reserve(connection, Actor("nobody", "api"), "acme", "ours")
    with pytest.raises(UsageError):
        await reserve(connection, Actor("ada", "cli"), "acme", " ")
    assert await unreserve(connection, Actor("ada", "cli"), "acme", "was never reserved") is None
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0


def test_reserved_name_is_never_asked_of_the_upstream(koschey: Koschey, upstream: Upstream) -> None:
    """Q9: Every spelling of every name of a reservation answers 200 with no files, whether or not a stranger has it."""
    upstream.add("rz-stranger", "9.9")
    koschey.run("reserve", "rz-*", "--reason", "our names")
    try:
        for name in ("rz-stranger", "rz-nobody", "rz"):
            page = koschey.page(name)
            assert page["project-status"] == {"status": "quarantined", "reason": "reserved: our names"}
            assert (page["files"], page["versions"]) == ([], [])
        assert "pypi:project-status-reason" in ask(f"{koschey.index_url}rz-nobody/", Accept="text/html").body.decode()
        assert upstream.about("rz") == []
        assert "rz-*" in koschey.run("reserve").stdout
        name, content = wheel("rz-own", "1.0")
        assert post(koschey, encoded(form(name, content), name, content)).status == 200
        assert koschey.filenames("rz-own") == [name]
    finally:
        koschey.run("unreserve", "rz-*", "--reason", "the test is over")
    wait_until(lambda: koschey.filenames("rz-stranger"))


def test_reservation_closes_what_came_from_an_upstream(koschey: Koschey, upstream: Upstream) -> None:
    """A mirrored project is closed by a reservation, its files too, and is open again without it."""
    file = upstream.add("rx-mirrored", "1.0")
    assert koschey.filenames("rx-mirrored") == [file.filename]
    koschey.run("reserve", "rx-mirrored", "--yes", "--reason", "ours now")
    wait_until(lambda: koschey.filenames("rx-mirrored") == [])
    answer = ask(koschey.url + file.path)
    assert answer.status == 403
    assert "reserved for private packages: ours now" in answer.json["detail"]
    koschey.run("unreserve", "rx-mirrored", "--reason", "a mistake")
    wait_until(lambda: koschey.filenames("rx-mirrored") == [file.filename])
    assert ask(koschey.url + file.path).status == 200


def test_reservation_of_a_mirrored_name_ends_its_looks(app: AppInProcess) -> None:
    """Q9: No upstream is asked for a name that was mirrored before it was reserved, by a request or by a follower."""
    app.upstream.add("rw-late", "1.0")
    app.page("rw-late")
    follower = Follower(app.resources.pool, app.resources.refresher, timedelta(minutes=10))
    app.execute("UPDATE project SET recheck_at = koschey_now() WHERE name = 'rw-late'")
    app.run(change(app, reserve))
    app.pass_time(timedelta(days=100))
    app.upstream.forget_requests()
    for _ in range(2):
        assert app.page("rw-late")["files"] == []
        app.run(follower.refresh_stale(100))
        app.run(follower.recheck_due(100))
        app.refresh("rw-late")
    assert app.upstream.count("/simple/rw-late/") == 0
    app.run(change(app, unreserve))
    app.run(follower.refresh_stale(100))
    assert app.upstream.count("/simple/rw-late/") == 1


async def change(app: AppInProcess, how: Any) -> None:
    """Reserve the name, or give it free."""
    async with app.resources.pool.acquire() as connection:
        await how(connection, Actor("ada", "cli"), "rw-late", "ours")


def test_blocked_name_that_was_never_seen(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """A name can be blocked before anybody asks for it: 200, no files, and uv then looks at no other index."""
    upstream.add("ry-evil", "1.0")
    koschey.run("block", "ry-evil", "--yes", "--reason", "malware")
    assert koschey.page("ry-evil")["project-status"] == {"status": "quarantined", "reason": "blocked: malware"}
    (tmp_path / "requirements.in").write_text("ry-evil\n")
    with pytest.raises(subprocess.CalledProcessError) as failure:
        uv(
            *("pip", "compile", str(tmp_path / "requirements.in")),
            *("--index-url", upstream.url, "--extra-index-url", koschey.index_url),
        )
    assert "ry-evil" in failure.value.stderr
    assert upstream.count("/simple/ry-evil/") == 0
