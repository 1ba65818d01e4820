"""Files that are answered from memory and from the shelf: as Quart answers, and only while they are served."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from packaging.utils import NormalizedName

from koschey.db.rules import upsert_rule
from koschey.model import SYSTEM
from koschey.policy.rules import RuleKind
from koschey.quarantine.decide import Choice
from koschey.serving.snapshots import SnapshotCache
from koschey.storage.shelf import SMALL
from tests.support import app_in_process
from tests.support.app_in_process import AppInProcess, Store
from tests.support.archives import noise, read_core_metadata, wheel
from tests.support.koschey_up import Answer, ask
from tests.support.postgres import Postgres
from tests.support.sigstore import Sigstore
from tests.support.upstream.server import Upstream, UpstreamFile

DIFFERS = {"date", "server"}


def warm(app: AppInProcess, upstream: Upstream, project: str, size: int = 300_000) -> UpstreamFile:
    """A released file that was downloaded, and whose page was built after that."""
    file = upstream.add(project, "1.0", content=noise(project, size), filename=f"{project}-1.0.tar.gz")
    app.page(project)
    assert app.ask(file.path).body == file.content
    app.hear_all()
    app.page(project)
    return file


@pytest.fixture(name="alone")
def _alone(app: AppInProcess, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A call after which Quart answers nothing."""

    async def fail(*_: Any) -> None:
        raise AssertionError("Quart was asked")

    return lambda: monkeypatch.setattr(app.front, "_pass_on", fail)


def of_quart(app: AppInProcess, path: str, method: str = "GET", **headers: Any) -> Answer:
    """What Quart answers."""
    fast, app.front.files = app.front.files, None
    try:
        return app.ask(path, method, **headers)
    finally:
        app.front.files = fast


@pytest.mark.parametrize("size", [10, SMALL, SMALL + 1, 300_000])
@pytest.mark.parametrize("sends_paths", [True, False])
@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"Range": "bytes=1-7"}),
        ("GET", {"Range": "bytes=-5"}),
        ("GET", {"Range": "bytes=3-"}),
        ("GET", {"Range": "bytes=0-"}),
        ("HEAD", {"Range": "bytes=2-3"}),
        ("GET", {"Range": "bytes=1-7", "If_Range": '"another"'}),
        ("GET", {"Range": "lines=1-7"}),
        ("GET", {"If_None_Match": "*"}),
        ("HEAD", {"If_None_Match": "*"}),
        ("GET", {"If_None_Match": '"another"'}),
    ],
)
def test_answers_are_those_of_quart(
    app: AppInProcess,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    sends_paths: bool,
    method: str,
    headers: dict[str, Any],
) -> None:
    """Status, headers and bytes are the same, with and without a server that sends files by their paths."""
    file = warm(app, upstream, f"ff-same-{size}", size)
    slow = of_quart(app, file.path, method, **headers)
    if not sends_paths:
        monkeypatch.setattr(app_in_process, "EXTENSIONS", {})
    with monkeypatch.context() as context:
        context.setattr(app.front, "_pass_on", None)
        fast = app.ask(file.path, method, **headers)
    assert (fast.status, fast.body) == (slow.status, slow.body)
    assert {name: value for name, value in fast.headers.items() if name not in DIFFERS} == {
        name: value for name, value in slow.headers.items() if name not in DIFFERS
    }


@pytest.mark.parametrize("suffix", [".metadata", ".provenance_url.json"])
def test_what_is_beside_a_file(app: AppInProcess, upstream: Upstream, alone: Callable[[], None], suffix: str) -> None:
    """Core metadata and records come from memory once they were read, with their validators."""
    filename, content = wheel("ff_beside", "1.0")
    file = upstream.add("ff-beside", "1.0", content=content, filename=filename)
    app.page("ff-beside")
    app.ask(file.path)
    app.hear_all()
    app.page("ff-beside")
    slow = of_quart(app, file.path + suffix)
    assert slow.status == 200
    alone()
    fast = app.ask(file.path + suffix)
    assert (fast.status, fast.body) == (200, slow.body)
    assert set(slow.headers) - set(fast.headers) <= DIFFERS
    assert app.ask(file.path + suffix, If_None_Match=fast.headers["etag"]).status == 304
    assert app.ask(file.path + suffix, "HEAD").headers["content-length"] == str(len(slow.body))


def test_core_metadata_is_obtained_for_each_file(app: AppInProcess, upstream: Upstream) -> None:
    """Bytes that are in memory for one wheel are not those of another, until they were obtained for it."""
    filename, content = wheel("ff_shared", "1.0")
    metadata = read_core_metadata(content)
    assert metadata is not None
    for project in ("ff-shared", "ff-promise"):
        name = filename.replace("ff_shared", project.replace("-", "_"))
        upstream.add(project, "1.0", content=content + project.encode(), filename=name, core_metadata=False)
        file = upstream.promise(name, metadata)
        app.page(project)
        upstream.forget_requests()
        assert app.ask(f"{file.path}.metadata").body == metadata
        assert upstream.count(f"{file.path}.metadata") == 1
        assert app.file(name).file.metadata_stored


def test_every_download_is_recorded(app: AppInProcess, upstream: Upstream, alone: Callable[[], None]) -> None:
    """A row is committed for each answer with bytes, and for no other."""
    file = warm(app, upstream, "ff-log")
    before = downloads(app, file)
    alone()
    app.ask(file.path, User_Agent="pip/1\x1b[2J")
    app.ask(file.path, Range="bytes=0-9")
    app.ask(file.path, "HEAD")
    app.ask(file.path, If_None_Match="*")
    after = downloads(app, file)
    assert len(after) - len(before) == 2
    assert after[-2]["user_agent"] == "pip/1?[2J"


def test_the_account_is_recorded(private: AppInProcess, upstream: Upstream) -> None:
    """Where reading needs a login, the row names the account and its token."""
    reader = private.account(None)
    file = upstream.add("ff-named", "1.0", content=b"x" * 200_000, filename="ff_named-1.0.tar.gz")
    for path in ("/simple/ff-named/", file.path, "/simple/ff-named/", file.path):
        assert private.ask(path, who=reader).status == 200
        private.hear_all()
    assert [row["account"] for row in downloads(private, file)] == [reader.name, reader.name]
    assert private.ask(file.path).status == 401


def downloads(app: AppInProcess, file: UpstreamFile) -> list[Any]:
    return app.fetch(
        "SELECT download.* FROM download JOIN file ON file.id = file_id WHERE filename = $1 ORDER BY id", file.filename
    )


@pytest.fixture(name="deaf")
def _deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process hears of no commit, and trusts its memory all the same."""
    monkeypatch.setattr(SnapshotCache, "forget", lambda *_: None)


NARROWING: dict[str, Callable[[AppInProcess, str], object]] = {
    "a block": lambda app, name: app.decide("block", name, "1.0"),
    "a recall": lambda app, name: app.decide("recall", name, "1.0"),
    "a block of the project": lambda app, name: app.decide("block", name),
    "a rule for many projects": lambda app, name: put_rule(app, RuleKind.BLOCKED, f"{name}-*"),
    "a rule for everything": lambda app, _: put_rule(app, RuleKind.BLOCKED, "*"),
    "a reservation": lambda app, name: put_rule(app, RuleKind.RESERVED, name),
    "a quarantine of the project": lambda app, name: app.execute(
        "UPDATE project SET status = 'quarantined' WHERE name = $1", name
    ),
}


def put_rule(app: AppInProcess, kind: RuleKind, scope: str) -> None:
    async def put() -> None:
        async with app.resources.pool.acquire() as connection:
            await upsert_rule(connection, kind, scope, None, "a test", SYSTEM)

    app.run(put())


@pytest.mark.parametrize("narrowing", NARROWING)
@pytest.mark.usefixtures("deaf")
def test_nothing_leaves_after_the_commit(app: AppInProcess, upstream: Upstream, narrowing: str) -> None:
    """Even a process that has not heard of a change sends no byte of a file after its commit."""
    name = f"ff-{narrowing.replace(' ', '-')}"
    file = warm(app, upstream, name)
    assert app.ask(file.path).status == 200
    NARROWING[narrowing](app, name)
    try:
        assert app.resources.pages.cached_file(file.path) is not None
        for answer in (app.ask(file.path), app.ask(file.path, Range="bytes=0-9")):
            assert answer.status == 403, narrowing
            assert file.content[:10] not in answer.body
    finally:
        app.execute("DELETE FROM rule")
        app.resources.pages._cache.forget_all()


@pytest.mark.usefixtures("deaf")
def test_requests_beside_a_block(app: AppInProcess, upstream: Upstream) -> None:
    """Of many requests beside a block, each that begins after its commit is refused."""
    file = warm(app, upstream, "ff-race", 100_000)
    late: list[int] = []
    done = asyncio.Event()

    async def ask() -> None:
        while True:
            is_late = done.is_set()
            status = (await app_in_process._ask(app.app, "GET", file.path, {}, b"")).status
            if is_late:
                late.append(status)
                return

    async def race() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(ask())
            await asyncio.sleep(0.2)
            await app._decide(Choice("block"), NormalizedName("ff-race"), "1.0")
            done.set()

    app.run(race())
    assert len(late) == 30
    assert 200 not in late
    app.resources.pages._cache.forget_all()


def test_a_wiped_shelf_loses_nothing(app: AppInProcess, upstream: Upstream) -> None:
    """Without its copy a file comes from the bucket, once for all, and stands on the shelf again."""
    file = warm(app, upstream, "ff-wiped")
    sha256 = app.file(file.filename).file.sha256
    assert sha256
    path = app.resources.shelf.find(sha256, file.size)
    assert path is not None
    path.unlink()
    upstream.forget_requests()
    assert app.ask(file.path).body == file.content
    assert app.resources.shelf.find(sha256, file.size) == path
    assert upstream.count(file.filename) == 0


def test_redirects_to_the_bucket(postgres: Postgres, s3: Store, shared_upstream: Upstream) -> None:
    """With `KOSCHEY_FILES=redirect` a stored file comes from the bucket, is recorded, and is refused once blocked."""
    with AppInProcess(postgres, s3, shared_upstream, files="redirect") as app:
        file = shared_upstream.add("ff-redirect", "1.0", content=b"x" * 100_000, filename="ff_redirect-1.0.tar.gz")
        app.page("ff-redirect")
        assert app.ask(file.path).body == file.content  # not stored yet
        app.hear_all()
        app.page("ff-redirect")
        answer = app.ask_all(file.path, Range="bytes=0-9")[0]
        assert (answer.status, answer.headers["cache-control"]) == (302, "no-store")
        found = ask(answer.headers["location"], Range="bytes=0-9")
        assert found.body == file.content[:10]
        assert found.headers["content-type"] == "application/octet-stream"
        assert len(downloads(app, file)) == 2
        assert app.ask(file.path, "HEAD").status == 200
        app.decide("block", "ff-redirect", "1.0")
        assert "x-amz" not in app.ask_all(file.path)[0].headers.get("location", "").lower()
        assert app.ask(file.path).status == 403


def test_provenance(app: AppInProcess, upstream: Upstream, sigstore: Sigstore, alone: Callable[[], None]) -> None:
    """A provenance object comes from memory once it was read; in each form and with its validators as from Quart."""
    file = upstream.add("ff-proved", "1.0", provenance=sigstore.provenance)
    app.page("ff-proved")
    path = f"/integrity/ff-proved/1.0/{file.filename}/provenance"
    asked: list[dict[str, Any]] = [{}, {"Accept": "application/json"}, {"Accept": "text/html, */*"}]
    slow = [app.ask(path, **headers) for headers in asked]
    app.hear_all()
    app.page("ff-proved")
    slow = [app.ask(path, **headers) for headers in asked]
    alone()
    fast = [app.ask(path, **headers) for headers in asked]
    assert [(answer.status, answer.body) for answer in fast] == [(200, file.provenance)] * 3
    assert [answer.headers for answer in fast] == [
        {name: value for name, value in answer.headers.items() if name not in DIFFERS} for answer in slow
    ]
    assert app.ask(path, If_None_Match=fast[0].headers["etag"]).status == 304
    assert app.ask(path, "HEAD").headers["content-length"] == str(len(file.provenance or b""))


def test_provenance_of_what_was_blocked(app: AppInProcess, upstream: Upstream, sigstore: Sigstore) -> None:
    """A block ends it, as it ends the page."""
    file = upstream.add("ff-proved-once", "1.0", provenance=sigstore.provenance)
    path = f"/integrity/ff-proved-once/1.0/{file.filename}/provenance"
    for _ in range(2):
        app.page("ff-proved-once")
        assert app.ask(path).status == 200
        app.hear_all()
    app.decide("block", "ff-proved-once", "1.0")
    assert app.ask(path).status == 403
