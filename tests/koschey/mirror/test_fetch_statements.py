"""The two statements of a download: what is committed before the upstream is asked, and what the end compares."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.app_in_process import AppInProcess
from tests.support.archives import noise
from tests.support.upstream.server import Upstream, UpstreamFile

TIMEOUT = 30.0


def listed(app: AppInProcess, upstream: Upstream, project: str) -> UpstreamFile:
    """A released sdist of which nothing is stored."""
    content = noise(project, 200_000)
    file = upstream.add(project, "1.0", content=content, filename=f"{project}-1.0.tar.gz")
    app.page(project)
    return file


@contextmanager
def stopped(app: AppInProcess, upstream: Upstream, file: UpstreamFile) -> Iterator[None]:
    """Stop a download of the file in the middle. The block runs while the event loop of the index is blocked."""
    hold = upstream.hold(file.filename, after=100_000)
    row = app.file(file.filename).file

    async def begin() -> None:
        app.resources.files.fetch_in_background(row)
        while not hold.waiting:
            await asyncio.sleep(0.01)

    app.run(asyncio.wait_for(begin(), TIMEOUT))
    try:
        yield
    finally:
        hold.release()


def finish(app: AppInProcess, file: UpstreamFile) -> None:
    """Wait for the end of the download."""
    app.store(file.filename)


def test_worker_has_its_message_before_the_upstream_sends(app: AppInProcess, upstream: Upstream) -> None:
    """The lease and the message are committed while the download is in progress, and gone after it."""
    file = listed(app, upstream, "fs-begun")
    key = f"file_wanted/{app.file(file.filename).file.id}"
    with stopped(app, upstream, file):
        [message] = app.fetch("SELECT due_at > koschey_now() AS later FROM outbox WHERE key = $1", key)
        assert message["later"]
        assert len(app.fetch("SELECT key FROM lease")) == 1
        assert app.file(file.filename).file.stored_at is None
    finish(app, file)
    assert app.fetch("SELECT key FROM outbox WHERE key = $1", key) == []
    assert app.fetch("SELECT key FROM lease") == []


def test_stored_file_gets_no_message(app: AppInProcess, upstream: Upstream) -> None:
    """A process that finds the file stored when it has the lease asks nobody to download it."""
    file = listed(app, upstream, "fs-stored")
    before = app.file(file.filename).file
    app.store(file.filename)
    upstream.forget_requests()
    assert app.run(app.resources.files.store(before)) == app.file(file.filename).file
    assert app.fetch("SELECT key FROM outbox WHERE key = $1", f"file_wanted/{before.id}") == []
    assert upstream.count(file.filename) == 0


@pytest.mark.parametrize(
    ("change", "journalled"),
    [
        ("size = 7", True),
        ("path = '/packages/aa/bb/cc/other.tar.gz'", True),
        ("yanked = 'bad'", False),
        ("damage = 'missing'", True),
    ],
)
def test_row_that_changed_meanwhile(app: AppInProcess, upstream: Upstream, change: str, journalled: bool) -> None:
    """The end of a download compares the row under its lock: other facts are recorded with a serial, or kept."""
    project = f"fs-{change.partition(' ')[0]}"
    file = listed(app, upstream, project)
    [row] = app.fetch("SELECT max(serial) AS serial FROM journal")
    with stopped(app, upstream, file):
        app.execute(f"UPDATE file SET {change} WHERE filename = $1", file.filename)  # noqa: S608
    finish(app, file)
    stored = app.file(file.filename).file
    assert stored.stored_at is not None
    assert (stored.size, stored.damage) == (len(file.content), None)
    assert (stored.yanked == "bad") is ("yanked" in change)
    lines = app.fetch("SELECT action FROM journal WHERE serial > $1 AND filename = $2", row["serial"], file.filename)
    assert bool(lines) is journalled
    assert app.fetch("SELECT key FROM lease") == []


def test_provenance_that_is_listed_meanwhile(app: AppInProcess, upstream: Upstream) -> None:
    """A provenance object that the page lists while the file is downloaded is fetched after it."""
    file = listed(app, upstream, "fs-proved")
    with stopped(app, upstream, file):
        app.execute("UPDATE file SET provenance_url = 'https://x.test/p' WHERE filename = $1", file.filename)
    finish(app, file)
    assert app.file(file.filename).file.provenance_url == "https://x.test/p"
    assert len(app.fetch("SELECT key FROM outbox WHERE key = 'provenance_wanted/fs-proved/1.0'")) == 1
