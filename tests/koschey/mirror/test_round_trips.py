"""How often a page and a file wait for PostgreSQL: a number for each case, `BEGIN` and `COMMIT` included."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from packaging.utils import canonicalize_name

from koschey.db import pool as pools
from koschey.mirror import portions
from tests.support.app_in_process import AppInProcess, Store
from tests.support.postgres import Postgres
from tests.support.statements import Recorder
from tests.support.upstream.server import Upstream, UpstreamFile

DAY = timedelta(days=1)
NAMES = itertools.count()


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    """What the index of this module says to PostgreSQL."""
    recorder = Recorder()
    with patch.object(pools, "_decode_json", recorder.watch):
        yield recorder


@pytest.fixture(scope="module")
def index(recorder: Recorder, postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[AppInProcess]:
    """An index that is recorded."""
    with AppInProcess(postgres, s3, shared_upstream) as running:
        yield running


def publish(index: AppInProcess, files: int, name: str | None = None, *, first: int = 0) -> str:
    """Have the upstream publish releases of one file each; the newest is held. Returns the name of the project."""
    name = name or f"rt-{next(NAMES)}"
    for number in range(first, first + files):
        age = timedelta(hours=1) if number == first + files - 1 else 400 * DAY - number * DAY
        index.upstream.add(name, f"1.{number}", upload_time=index.now - age)
    return name


def refresh(index: AppInProcess, recorder: Recorder, name: str) -> list[str]:
    """Refresh a page as it is done behind an answer; returns the round trips."""
    index.pass_time(timedelta(seconds=1))
    with recorder.round_trips() as trips:
        index.run(index.resources.refresher.refresh(canonicalize_name(name), since=index.now))
    assert index.fetch("SELECT key FROM lease") == []
    assert index.fetch("SELECT looked_at FROM project WHERE name = $1", name)[0]["looked_at"] == index.now
    index.hear_all()
    return trips


def ask(index: AppInProcess, recorder: Recorder, name: str, files: int) -> list[str]:
    """Request a page; returns the round trips."""
    with recorder.round_trips() as trips:
        page = index.page(name)
    assert len(page["files"]) == files
    return trips


def test_first_page(index: AppInProcess, recorder: Recorder) -> None:
    """The first request: one statement reads all that decides and takes the lease, one writes all, a transaction."""
    ask(index, recorder, publish(index, 20), 19)  # each connection prepares a statement once
    name = publish(index, 20)
    trips = ask(index, recorder, name, 19)
    assert trips.count("query") == 0, trips  # no BEGIN and no COMMIT
    assert len(trips) == 2, trips
    assert index.fetch("SELECT key FROM lease") == []
    assert [row["key"] for row in index.fetch("SELECT key FROM outbox WHERE payload ->> 'project' = $1", name)] == [
        f"release_held/{name}/1.19"
    ]


def test_second_request_of_a_first_page(index: AppInProcess, recorder: Recorder) -> None:
    """What was written is kept: the notification of that very commit does not remove it, and nothing is read again."""
    name = publish(index, 5)
    ask(index, recorder, name, 4)
    index.hear_all()
    assert ask(index, recorder, name, 4) == []


def test_page_that_is_built_again(index: AppInProcess, recorder: Recorder) -> None:
    """A page that a commit has removed from memory: the project, and all of its page."""
    name = publish(index, 5)
    ask(index, recorder, name, 4)
    for _ in range(2):  # each connection prepares a statement once
        index.hear_all()
        index.execute(f"SELECT pg_notify('koschey_project', '{name}')")
        index.hear_all()
        trips = ask(index, recorder, name, 4)
    assert len(trips) == 2, trips


def test_unchanged_page(index: AppInProcess, recorder: Recorder) -> None:
    """The upstream answers 304: the lease with the project, and the end of both."""
    name = publish(index, 5)
    index.page(name)
    refresh(index, recorder, name)
    assert len(refresh(index, recorder, name)) == 2


def test_page_with_the_same_files(index: AppInProcess, recorder: Recorder) -> None:
    """The upstream sends the same page again: the files are read to compare them, and the project is locked."""
    index.upstream.etags = False
    try:
        name = publish(index, 5)
        index.page(name)
        refresh(index, recorder, name)
        assert len(refresh(index, recorder, name)) == 6
    finally:
        index.upstream.etags = True


def test_page_with_one_new_file(index: AppInProcess, recorder: Recorder) -> None:
    """One new file: the lease, the known files, four in the intake's transaction, and its ends."""
    name = publish(index, 5)
    index.page(name)
    for number in (5, 6):
        publish(index, 1, name, first=number)
        trips = refresh(index, recorder, name)
    assert len(trips) == 8, trips


def test_large_page(index: AppInProcess, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each portion is a transaction, whatever the number of its files."""
    monkeypatch.setattr(portions, "PORTION", 10)
    ask(index, recorder, publish(index, 35), 34)
    trips = ask(index, recorder, publish(index, 35), 34)
    assert len(trips) == 1 + 5 + 3 * 6, trips


def test_clients_of_one_first_page_share_its_round_trips(index: AppInProcess, recorder: Recorder) -> None:
    """Ten clients at once cost one request to the upstream and one transaction."""
    name = publish(index, 5)

    async def ask_together() -> None:
        await asyncio.gather(*(index._follow("GET", f"/simple/{name}/", {}, b"") for _ in range(10)))

    with recorder.round_trips() as trips:
        index.run(ask_together())
    assert len(trips) == 2, trips
    assert index.upstream.count(f"/simple/{name}/") == 1


def keep_snapshot(index: AppInProcess, project: str) -> None:
    """Have the process keep a snapshot of a project that it has just mirrored."""
    index.page(project)
    index.hear_all()
    index.page(project)


def download(index: AppInProcess, recorder: Recorder, file: UpstreamFile) -> list[str]:
    """Request a file; returns the round trips. Nothing is left of its lease and of the message for the worker."""
    with recorder.round_trips() as trips:
        answer = index.ask(file.path)
    assert (answer.status, answer.body) == (200, file.content)
    assert index.fetch("SELECT key FROM lease") == []
    assert index.fetch("SELECT key FROM outbox WHERE key LIKE 'file_wanted/%'") == []
    index.hear_all()
    return trips


def listed(index: AppInProcess, recorder: Recorder, project: str) -> tuple[Any, list[str]]:
    """The only file on a project's page, and the round trips of a request for that page."""
    with recorder.round_trips() as trips:
        [file] = index.page(project)["files"]
    return file, trips


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_first_download(index: AppInProcess, recorder: Recorder, kind: str) -> None:
    """The lease with the row and the message for the worker; the stored row; the record of the download."""
    for name in (f"rt-warm-{kind}", f"rt-{kind}"):
        file = index.upstream.add(name, "1.0", sdist=kind == "sdist")
        keep_snapshot(index, name)
        assert "_koschey" not in listed(index, recorder, name)[0]
        trips = download(index, recorder, file)
    assert trips == ["bind_execute"] * 3, trips
    # The snapshot is corrected in place: the next client waits for the record of its download alone, and the page that
    # lists the record of the file's origin is rendered from memory.
    assert len(download(index, recorder, file)) == 1
    page, trips = listed(index, recorder, name)
    assert page["_koschey"]["provenance-url"]["url"] == file.url
    assert page["_koschey"]["fetched-at"]
    assert trips == []


def test_first_download_that_changes_the_page(index: AppInProcess, recorder: Recorder) -> None:
    """A wheel whose page promises no core metadata is a change with a serial: one transaction more."""
    for number in range(3):
        name = f"rt-silent-{number}"
        file = index.upstream.add(name, "1.0", core_metadata=False)
        keep_snapshot(index, name)
        assert "core-metadata" not in listed(index, recorder, name)[0]
        trips = download(index, recorder, file)
    assert trips.count("query") == 2, trips
    assert len([trip for trip in trips if trip != "prepare"]) == 10, trips
    assert listed(index, recorder, name)[0]["core-metadata"]


def test_downloads_of_one_project_build_its_page_once(index: AppInProcess, recorder: Recorder) -> None:
    """Each of several files costs three round trips, and the page shows all of them without one more."""
    for name in (f"rt-{next(NAMES)}", f"rt-{next(NAMES)}"):  # each connection prepares a statement once
        files = [index.upstream.add(name, f"1.{number}") for number in range(5)]
        keep_snapshot(index, name)
        counts = [len(download(index, recorder, file)) for file in files]
    assert counts == [3] * 5
    with recorder.round_trips() as trips:
        records = [file["_koschey"]["provenance-url"]["url"] for file in index.page(name)["files"]]
    assert sorted(records) == sorted(file.url for file in files)
    assert trips == []
