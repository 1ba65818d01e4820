"""Single flights: one does the work, and everybody who waits learns how it ended, whatever happened."""

import asyncio
import time
import xmlrpc.client
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from koschey.concurrency.flights import Flights
from koschey.db import feeds
from koschey.db.downloads import NewDownload
from koschey.db.pool import Pool
from koschey.errors import Busy
from koschey.mirror import refresh
from koschey.mirror.intake import PageIntake
from koschey.model import FileId
from koschey.resources import Resources
from koschey.serving import project_list
from koschey.serving.download_log import DownloadLog
from koschey.serving.served import Served
from koschey.serving.xmlrpc_methods import MirrorCalls
from tests.support.app_in_process import AppInProcess
from tests.support.koschey_up import Answer
from tests.support.postgres import Postgres
from tests.support.upstream.server import Upstream, UpstreamFile

PATIENCE = 30.0
"""Seconds within which a waiting client must have an answer in these tests."""


class Work:
    """Work that can be let go, and counts how often it was begun."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.error = error

    async def __call__(self) -> int:
        self.begun += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        return self.begun


async def waiting(flights: Flights[str, int], work: Work, count: int = 3) -> list[asyncio.Task[int]]:
    """Clients that wait for the same work."""
    tasks = [asyncio.create_task(flights.join("key", work)) for _ in range(count)]
    await asyncio.sleep(0.01)
    return tasks


async def test_work_is_done_once_for_all_who_wait() -> None:
    """All who ask while work is under way get its result; who asks later has it done again."""
    flights, work = Flights[str, int](), Work()
    tasks = await waiting(flights, work)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert await flights.join("key", work) == 2


@pytest.mark.parametrize("error", [Busy("not now"), RuntimeError("a fault"), KeyError("k")])
async def test_all_who_wait_are_told_of_an_error(error: Exception) -> None:
    """Whatever the work raises is raised to all who wait, and the next client begins again."""
    flights, work = Flights[str, int](), Work(error)
    tasks = await waiting(flights, work)
    work.gate.set()
    assert await asyncio.gather(*tasks, return_exceptions=True) == [error] * 3
    work.error = None
    assert await flights.join("key", work) == 2


async def test_abandoned_work_ends_where_its_result_is_kept_nowhere() -> None:
    """Work ends with its last client and not before; who comes then has it begun again."""
    flights, work = Flights[str, int](outlive_clients=False), Work()
    first, second, *_ = await waiting(flights, work, 2)
    first.cancel()
    await asyncio.sleep(0.01)
    assert not second.done()
    second.cancel()
    await asyncio.sleep(0)
    third, *_ = await waiting(flights, work, 1)
    work.gate.set()
    assert await third == 2


async def test_client_that_goes_away_ends_nothing() -> None:
    """A client that is cancelled leaves the work to the others; its own cancellation stays one."""
    flights, work = Flights[str, int](), Work()
    first, second, third = await waiting(flights, work)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.gate.set()
    assert list(await asyncio.gather(second, third)) == [1, 1]


async def test_work_that_is_cancelled_is_an_answer() -> None:
    """Where the process stops, all who wait get an error that says so, and no cancellation of their own."""
    flights, work = Flights[str, int](), Work()
    tasks = await waiting(flights, work)
    await flights.close()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in found] == [Busy] * 3


async def test_downloads_that_cannot_be_written_are_answered(pool: Pool) -> None:
    """A client whose download waits to be written down is told where the process stops; the log goes on after it."""
    log = DownloadLog(pool)
    log._next_at = time.monotonic() + 60
    tasks = [asyncio.create_task(log.record(NewDownload(FileId(1), None, None, None, None))) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert log._writing is not None
    log._writing.cancel()
    found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
    assert [type(error) for error in found] == [Busy] * 3
    log._next_at = 0.0
    with pytest.raises(Busy, match="send the request again"):
        await asyncio.wait_for(log.record(NewDownload(FileId(1), None, None, None, None)), PATIENCE)


# Cold files


def cold(app: AppInProcess, upstream: Upstream, project: str) -> UpstreamFile:
    """A released file of which nothing is stored."""
    file = upstream.add(project, "1.0", size=300_000)
    app.page(project)
    return file


def ask_together(app: AppInProcess, path: str, meanwhile: Callable[[], object] | None = None) -> list[Answer]:
    """Ask for a file as several clients at once, and do something else meanwhile."""

    async def run() -> list[list[Answer]]:
        tasks = [asyncio.create_task(app._follow("GET", path, {}, b"")) for _ in range(3)]
        if meanwhile is not None:
            await asyncio.sleep(0.2)
            await asyncio.to_thread(meanwhile)
            await app.resources.files.close()
        return await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)

    return [answer for (answer,) in app.run(run())]


def test_cold_file_whose_message_cannot_be_written(app: AppInProcess, upstream: Upstream) -> None:
    """All who wait for a cold file are answered where its outbox row cannot be written, and later it is served."""
    file = cold(app, upstream, "no-outbox")
    app.execute("ALTER TABLE outbox ADD CONSTRAINT nothing CHECK (false) NOT VALID")
    try:
        assert {answer.status for answer in ask_together(app, file.path)} == {503}
    finally:
        app.execute("ALTER TABLE outbox DROP CONSTRAINT nothing")
    assert {answer.body for answer in ask_together(app, file.path)} == {file.content}
    assert upstream.count(file.path) == 1


def test_cold_file_whose_fetch_is_ended(app: AppInProcess, upstream: Upstream) -> None:
    """All who wait for a cold file are answered where the process stops in the middle of the fetch."""
    file = cold(app, upstream, "ended-fetch")
    with upstream.hold(file.filename) as hold:
        answers = ask_together(app, file.path, hold.wait)
    assert {answer.status for answer in answers} == {503}
    assert {"stopping" in answer.json["detail"] for answer in answers} == {True}
    assert app.ask(file.path).body == file.content


def test_spool_that_cannot_be_written(
    postgres: Postgres, s3: dict[str, str], upstream: Upstream, tmp_path: Path
) -> None:
    """A spool folder that is gone is 503 with the setting's name, for every client, and no lease is left behind."""
    spool = tmp_path / "spool"
    spool.mkdir()
    with AppInProcess(postgres, s3, upstream, spool=spool, cache_mib=0) as app:
        file = cold(app, upstream, "no-spool")
        spool.rmdir()
        answers = ask_together(app, file.path)
        assert {answer.status for answer in answers} == {503}
        assert "KOSCHEY_SPOOL" in answers[0].json["detail"]
        assert app.fetch("SELECT 1 FROM lease") == []
        spool.mkdir()
        assert app.ask(file.path).body == file.content


def test_lease_that_cannot_be_taken(app: AppInProcess, upstream: Upstream) -> None:
    """Where PostgreSQL refuses to write at all, a cold file is answered, and its lease does not keep it later."""
    file = cold(app, upstream, "read-only")
    app.execute("ALTER TABLE lease ADD CONSTRAINT nothing CHECK (false) NOT VALID")
    try:
        assert {answer.status for answer in ask_together(app, file.path)} <= {500, 503}
    finally:
        app.execute("ALTER TABLE lease DROP CONSTRAINT nothing")
    assert app.ask(file.path).body == file.content


async def test_error_that_nobody_waits_for_is_logged() -> None:
    """Work behind an answer fails into the log, once; where somebody waits, that is who learns of it."""
    flights, work = Flights[str, int](), Work(RuntimeError("a fault"))
    work.gate.set()
    with capture_logs() as logs:
        for _ in range(3):
            flights.begin("key", work)
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError):
            await flights.join("key", work)
    assert [(entry["work"], entry["error"]) for entry in logs] == [("key", "RuntimeError('a fault')")]


# Pages and documents

CALL = xmlrpc.client.dumps((), "list_packages_with_serial").encode()


@dataclass(frozen=True)
class Shared:
    """Something that is made once for all who ask for it."""

    path: str
    owner: Any
    name: str
    """The asynchronous function of `owner` that makes it."""
    close: Callable[[Resources], Awaitable[None]]
    body: bytes = b""

    async def ask(self, app: AppInProcess, path: str) -> Answer:
        """Ask for it as one client does."""
        sent = {"Content-Type": "text/xml"} if self.body else {}
        return (await app._follow("POST" if self.body else "GET", path, sent, self.body))[-1]

    def ask_together(self, app: AppInProcess, path: str, *, close: bool = False) -> list[int]:
        """Ask for it as three clients, end the work while they wait where `close` says so, and return the statuses."""

        async def run() -> list[Answer]:
            tasks = [asyncio.create_task(self.ask(app, path)) for _ in range(3)]
            if close:
                await asyncio.sleep(0.3)
                await self.close(app.resources)
            return await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)

        return [answer.status for answer in app.run(run())]


SHARED = {
    "a look": Shared("/simple/{name}/", PageIntake, "apply_page", lambda all_: all_.refresher.close()),
    "a page": Shared("/simple/{name}/", Served, "load", lambda all_: all_.pages.close()),
    "the list": Shared("/simple/", project_list, "select_listed_since", lambda all_: all_.pages.close()),
    "a feed": Shared("/rss/updates.xml", feeds, "select_newest_releases", lambda all_: all_.surveys.close()),
    "statistics": Shared("/stats/", feeds, "select_sizes", lambda all_: all_.surveys.close()),
    "a call": Shared("/RPC2", MirrorCalls, "_list", lambda all_: all_.calls.close(), CALL),
}


@pytest.mark.parametrize("kind", SHARED)
def test_all_who_wait_for_a_page_or_document_are_answered(app: AppInProcess, upstream: Upstream, kind: str) -> None:
    """Where it cannot be made, or the process stops, three clients get an error for one try; later they get it."""
    shared, name = SHARED[kind], f"fl-{list(SHARED).index(kind)}"
    upstream.add(name, "1.0")
    upstream.add(f"{name}-known", "1.0")
    app.page(f"{name}-known")
    app.hear_all()
    path, tries = shared.path.format(name=name), list[object]()

    async def fail(*given: object, **more: object) -> None:
        tries.append(given)
        await asyncio.sleep(0.2)
        raise RuntimeError("a fault")

    async def never_end(*given: object, **more: object) -> None:
        tries.append(given)
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.owner, shared.name, fail)
        assert (shared.ask_together(app, path), len(tries)) == ([500] * 3, 1)
        patch.setattr(shared.owner, shared.name, never_end)
        assert (shared.ask_together(app, path, close=True), len(tries)) == ([503] * 3, 2)
    assert shared.ask_together(app, path) == [200] * 3
    assert app.fetch("SELECT 1 FROM lease") == []


def test_client_does_not_wait_for_a_first_look_without_end(
    app: AppInProcess, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first look that takes long is answered by 503 and Retry-After; it goes on, and the next client has the page."""
    upstream.add("fl-long", "1.0")
    monkeypatch.setattr(refresh, "PATIENCE", 0.3)
    with upstream.hold("fl-long"):
        answer = app.ask("/simple/fl-long/")
        assert (answer.status, "Retry-After".lower() in answer.headers) == (503, True)
    app.run(asyncio.sleep(1))
    monkeypatch.undo()
    assert app.ask("/simple/fl-long/").status == 200
    assert upstream.count("fl-long") == 1


def test_verifying_again_joins_no_fetch_that_keeps_what_is_here(app: AppInProcess, upstream: Upstream) -> None:
    """Who wants an object fetched and verified again gets that, also while somebody else only wants to have it."""
    file = upstream.add("attach-again", "1.0", provenance=lambda *_: b"{}")
    app.refresh("attach-again")
    app.store(file.filename)
    stored, attach = app.file(file.filename).file.id, app.resources.provenance.attach

    async def attach_twice() -> None:
        with upstream.hold(file.provenance_path):
            tasks = [asyncio.create_task(attach(stored, again=again)) for again in (False, True)]
            while not upstream.count(file.provenance_path):
                await asyncio.sleep(0.01)
        await asyncio.gather(*tasks)

    app.run(asyncio.wait_for(attach_twice(), PATIENCE))
    assert upstream.count(file.provenance_path) == 2
