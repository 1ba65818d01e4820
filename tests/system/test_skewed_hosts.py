"""Hosts whose clocks are a week ahead or behind, beside a PostgreSQL that knows the time (Q5).

Real web processes and workers under libfaketime. What a sound worker fetched and checked, the skewed ones release when
its window ends, and neither before nor much later: no clock but PostgreSQL's is asked. What they would have to fetch
stays where it is, for S3 takes no signature of another time: held, or refused with the cause, and never half of it.
"""

import asyncio
import concurrent.futures
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from tests.support.api import Api
from tests.support.app_in_process import Store
from tests.support.koschey_up import JSON, ask, wait_until
from tests.support.postgres import Postgres
from tests.support.split_processes import SplitProcesses, skewed, split_processes
from tests.support.time_skipping import wait_until_resting
from tests.support.upstream.server import Upstream, UpstreamFile
from workflows.names import quarantine_id

pytestmark = pytest.mark.soak

SKEWS = (7, -7)
"""Days."""
RELEASES = 12
SOON = timedelta(seconds=15)
"""How long the windows still last when all hosts are skewed."""
LATE = timedelta(seconds=60)
AGE = timedelta(hours=1)
"""How old the releases are."""


@dataclass
class Skewed:
    """An index of which every host is skewed but one with a sound web process."""

    index: SplitProcesses
    waiting: Sequence[UpstreamFile]
    """Fetched and checked by a sound worker, which is gone; held."""
    stored: UpstreamFile
    """Released, and in the bucket."""
    roots: Sequence[str]
    """Of the skewed web processes."""
    workers: Sequence[int]
    """The process ids of the skewed workers."""
    uploaded: datetime

    @property
    def now(self) -> datetime:
        """The time, as PostgreSQL has it."""
        moment: datetime = self.index.fetch_value("SELECT now()")
        return moment

    def end_windows_at(self, moment: datetime) -> None:
        """Change the policy so that the windows of what waits end then; each release is looked at anew."""
        window = (moment - self.uploaded) / timedelta(days=1)
        rule = {"kind": "window", "scope": "skew-*", "value": window, "reason": "they end while all hosts are skewed"}
        answer = Api(self.index).call("POST", "policy/rules", rule)
        assert answer.status == 200, answer

    def served(self) -> set[tuple[str, str]]:
        """Which of what waits is listed, or given, by which skewed web process."""
        asked = [(root, file) for root in self.roots for file in self.waiting]
        with concurrent.futures.ThreadPoolExecutor(4) as clients:
            seen = clients.map(lambda pair: is_out(*pair), asked)
        return {(root, file.filename) for (root, file), out in zip(asked, seen, strict=True) if out}


@pytest.fixture(scope="module")
def hosts(folder: Path, postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[Skewed]:
    """Let sound hosts begin, and skewed ones go on."""
    uploaded = datetime.now(UTC).replace(microsecond=0) - AGE
    waiting = [shared_upstream.add(f"skew-{number}", "1.0", upload_time=uploaded) for number in range(RELEASES)]
    stored = shared_upstream.add("sound-stored", "1.0")
    with split_processes(folder, postgres, s3, shared_upstream) as index:
        index.start_temporal()
        index.start_web()
        index.start_worker()
        for file in waiting:
            assert index.filenames(file.project) == []
        assert index.filenames(stored.project) == [stored.filename]
        assert ask(index.url + stored.path).body == stored.content
        for file in waiting:
            wait_until(lambda file=file: is_checked(index, file), timeout=90)  # type: ignore[misc]
        asyncio.run(rest(index, waiting))
        index.stop_part("worker")
        roots = [index.start_web(f"web{days:+}", skewed(days)) for days in SKEWS]
        workers = [index.start_worker(f"worker{days:+}", skewed(days)) for days in SKEWS]
        yield Skewed(index, waiting, stored, roots, workers, uploaded)


def is_checked(index: SplitProcesses, file: UpstreamFile) -> bool:
    """Whether a file was fetched and went through all checks."""
    query = """
        SELECT stored_at IS NOT NULL AND (SELECT count(*) FROM known_check) = (
                   SELECT count(*) FROM check_run WHERE check_run.file_id = file.id AND fault IS NULL)
          FROM file WHERE filename = $1
    """
    return bool(index.fetch_value(query, file.filename))


async def rest(index: SplitProcesses, files: Sequence[UpstreamFile]) -> None:
    """Return once the workflows of these releases have nothing under way and wait for their time alone."""
    client = await Client.connect(index.settings["KOSCHEY_TEMPORAL_ADDRESS"])
    for file in files:
        await wait_until_resting(client.get_workflow_handle(quarantine_id(file.project, file.version)))


async def who_settled(index: SplitProcesses, files: Sequence[UpstreamFile]) -> Counter[str]:
    """Count by which workers' hands the activities of these releases went."""
    client = await Client.connect(index.settings["KOSCHEY_TEMPORAL_ADDRESS"])
    counted: Counter[str] = Counter()
    for file in files:
        history = await client.get_workflow_handle(quarantine_id(file.project, file.version)).fetch_history()
        started = [event.activity_task_started_event_attributes for event in history.events]
        counted.update(event.identity.partition("@")[0] for event in started if event.identity)
    return counted


async def failure_of(index: SplitProcesses, file: UpstreamFile) -> str:
    """What the activity of a release that is tried again failed with; nothing while it has not."""
    client = await Client.connect(index.settings["KOSCHEY_TEMPORAL_ADDRESS"])
    try:
        described = await client.get_workflow_handle(quarantine_id(file.project, file.version)).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return ""
    return "".join(pending.last_failure.message for pending in described.raw_description.pending_activities)


def is_out(root: str, file: UpstreamFile) -> bool:
    """Whether a web process lists a file on its page, or says anything but that it is held."""
    page = ask(f"{root}/simple/{file.project}/", Accept=JSON)
    assert page.status == 200, page
    return bool(page.json["files"]) or ask(root + file.path).status != 403


def test_releases_on_time(hosts: Skewed) -> None:
    """What a sound worker checked is released by skewed ones: never early, at most a minute late, with one row each."""
    assert hosts.served() == set()
    ends_at = hosts.now + SOON
    hosts.end_windows_at(ends_at)
    out: dict[tuple[str, str], datetime] = {}
    while len(out) < len(hosts.waiting) * len(hosts.roots):
        seen = hosts.served()
        now = hosts.now
        assert now < ends_at + 2 * LATE, hosts.index.log_of("worker+7")[-4000:]
        out = dict.fromkeys(seen, now) | out
    early = {key: ends_at - at for key, at in out.items() if at < ends_at}
    assert early == {}
    query = "SELECT array_agg(at) FROM journal WHERE action = 'released' AND filename = $1"
    rows = [hosts.index.fetch_value(query, file.filename) for file in hosts.waiting]
    assert all(len(moments) == 1 for moments in rows)
    late = [(moments[0] - ends_at).total_seconds() for moments in rows]
    assert min(late) >= 0
    assert max(late) <= LATE.total_seconds()
    by = asyncio.run(who_settled(hosts.index, hosts.waiting))
    assert all(by[str(pid)] for pid in hosts.workers), by
    print(f"{len(rows)} released, {min(late):.1f} to {max(late):.1f} s late, by {dict(by)}")  # noqa: T201


def test_bytes_stay_where_they_are(hosts: Skewed, upstream: Upstream) -> None:
    """A skewed web process gives no byte of a file, and says so; a sound one beside it gives all of them."""
    cold = upstream.add("sound-cold", "1.0")
    assert hosts.index.filenames(cold.project) == [cold.filename]
    for root in hosts.roots:
        for path in (hosts.stored.path, hosts.stored.path + ".metadata", cold.path):
            answer = ask(root + path)
            assert (answer.status, answer.json["title"]) == (503, "The bucket refuses this index"), answer
    assert not hosts.index.is_stored(cold.filename)
    for file in (hosts.stored, cold):
        assert ask(hosts.index.url + file.path).body == file.content


def test_what_skewed_workers_cannot_store_is_held(hosts: Skewed, upstream: Upstream) -> None:
    """A release whose bytes S3 does not take stays held, with the cause where an operator looks: in its workflow."""
    new = upstream.add("sound-new", "1.0", upload_time=datetime.now(UTC) - AGE)
    assert hosts.index.filenames(new.project) == []
    cause = wait_until(lambda: asyncio.run(failure_of(hosts.index, new)), timeout=60)
    assert "the bucket refuses" in cause
    assert "difference between the request time and the" in cause
    assert hosts.index.state_of(new.filename) == "held"
    assert not hosts.index.is_stored(new.filename)
    assert all(ask(root + new.path).status == 403 for root in hosts.roots)
