"""Temporal is gone while five hundred releases are approved and as many things are asked for the first time (F10).

No decision is lost, all that is approved is served meanwhile, and after its return everything drains in five minutes.

The outage lasts as long as the calls take and `KOSCHEY_TEST_OUTAGE` seconds on top, 20 by default; the ten minutes of
the case by hand: `KOSCHEY_TEST_OUTAGE=600 pytest -m soak -n 0 -s --timeout 0 tests/system/test_temporal_outage.py`.
"""

import asyncio
import concurrent.futures
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.support.api import Api
from tests.support.app_in_process import Store
from tests.support.koschey_up import JSON, ask, wait_until
from tests.support.postgres import Postgres
from tests.support.split_processes import SplitProcesses, split_processes
from tests.support.upstream.server import Upstream, UpstreamFile

OUTAGE = float(os.environ.get("KOSCHEY_TEST_OUTAGE", "20"))
"""Seconds that the outage lasts beside its calls."""
DRAINED = 300.0
"""Seconds."""
PROJECTS, VERSIONS = 25, 20
"""Of the releases that are approved."""
NEW_HELD, NEW_OLD = 50, 225
"""Pages asked for while Temporal is away: of what is held, and of what is old enough; of the latter also the files."""
CLIENTS = 4


@dataclass
class Outage:
    """What is asked for while Temporal is away."""

    index: SplitProcesses
    approved: Sequence[UpstreamFile]
    held: Sequence[UpstreamFile]
    old: Sequence[UpstreamFile]

    def each[T, U](self, work: Callable[[T], U], items: Sequence[T]) -> list[U]:
        """Call for each, several at a time."""
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            return list(clients.map(work, items))

    def approve(self, file: UpstreamFile) -> int:
        """Approve a release through the API; returns the status."""
        body = {"choice": "approve", "project": file.project, "version": file.version, "reason": "without Temporal"}
        return Api(self.index).call("POST", "decisions", body).status

    def lists(self, file: UpstreamFile) -> bool:
        """Whether the page lists a file."""
        answer = ask(f"{self.index.index_url}{file.project}/", Accept=JSON)
        assert answer.status == 200, answer
        return file.filename in {each["filename"] for each in answer.json["files"]}

    def gives(self, file: UpstreamFile) -> bool:
        """Whether the file comes, byte for byte."""
        answer = ask(self.index.url + file.path)
        return answer.status == 200 and answer.body == file.content

    def count(self, query: str) -> int:
        """Count rows."""
        return int(self.index.fetch_value(f"SELECT count(*) FROM {query}"))  # noqa: S608


@pytest.fixture(scope="module")
def outage(folder: Path, postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[Outage]:
    """Everything runs, and the releases that will be approved were seen, when Temporal is killed."""
    fresh = datetime.now(UTC) - timedelta(hours=1)

    def add(project: str, version: str = "1.0", upload_time: datetime | None = fresh) -> UpstreamFile:
        return shared_upstream.add(project, version, upload_time=upload_time)

    approved = [add(f"o-seen-{project}", f"1.{version}") for project in range(PROJECTS) for version in range(VERSIONS)]
    held = [add(f"o-held-{number}") for number in range(NEW_HELD)]
    old = [add(f"o-old-{number}", upload_time=None) for number in range(NEW_OLD)]
    with split_processes(folder, postgres, s3, shared_upstream) as index:
        index.start_temporal()
        index.start_worker()
        index.start_web()
        for project in range(PROJECTS):
            assert index.filenames(f"o-seen-{project}") == []
        index.kill_part("temporal")
        yield Outage(index, approved, held, old)


@pytest.mark.soak
def test_nothing_is_lost_while_temporal_is_away(outage: Outage) -> None:
    """All calls succeed and all that is approved is served meanwhile; all is carried out within five minutes after."""
    began, index = time.monotonic(), outage.index
    assert Counter(outage.each(outage.approve, outage.approved)) == {200: len(outage.approved)}
    assert not any(outage.each(outage.lists, outage.held))
    assert all(outage.each(outage.lists, outage.old))
    assert all(outage.each(outage.gives, [*outage.old, *outage.approved]))
    assert all(len(index.filenames(f"o-seen-{project}")) == VERSIONS for project in range(PROJECTS))
    called = time.monotonic() - began
    time.sleep(OUTAGE)
    assert all(outage.each(outage.gives, outage.approved[:: VERSIONS // 2]))
    waiting = outage.count("outbox")
    assert waiting >= len(outage.approved) + len(outage.held)
    assert not any(index.is_stored(file.filename) for file in outage.held[:5])
    index.start_temporal()
    away, back = time.monotonic() - began, time.monotonic()
    wait_until(lambda: outage.count("outbox") == 0, timeout=DRAINED)
    sent = time.monotonic() - back
    unstored = "file JOIN standing ON file_id = file.id WHERE state = 'held' AND stored_at IS NULL"
    wait_until(lambda: outage.count(unstored) == 0, timeout=DRAINED - sent)
    wait_until(lambda: asyncio.run(open_workflows(index)) == expected(outage), timeout=DRAINED - sent)
    drained = time.monotonic() - back
    assert drained <= DRAINED
    decided = "journal WHERE action = 'approve' AND filename IS NOT NULL"
    assert outage.count(decided) == outage.count("decision WHERE action = 'approve'") == len(outage.approved)
    assert {index.state_of(file.filename) for file in outage.approved[::50]} == {"released"}
    assert outage.count("standing WHERE state = 'held'") == len(outage.held)
    print(f"away {away:.0f} s, {called:.0f} s of it calls; {waiting} messages waited")  # noqa: T201
    print(f"sent after {sent:.0f} s, all carried out after {drained:.0f} s")  # noqa: T201


def expected(outage: Outage) -> set[str]:
    """The quarantines that go on: those of what is held."""
    return {f"quarantine/{file.project}/{file.version}" for file in outage.held}


async def open_workflows(index: SplitProcesses) -> set[str]:
    """The workflows about releases and files that Temporal runs."""
    client = await Client.connect(index.settings["KOSCHEY_TEMPORAL_ADDRESS"])
    return {each.id async for each in client.list_workflows("ExecutionStatus = 'Running'") if "/o-" in each.id}
