"""What time does to a quarantine: seven days pass in a moment."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowExecutionStatus

from koschey.db.attestations import select_attestation
from koschey.db.files import select_file
from koschey.db.outbox import insert_message
from koschey.outbox import FileWanted
from tests.support.archives import read_core_metadata
from tests.support.histories import check_history
from tests.support.koschey_up import Koschey
from tests.support.sigstore import Sigstore
from tests.support.time_skipping import SkippingKoschey, hold, new_database, skipping
from tests.support.upstream.server import Upstream
from tests.support.waiting import eventually
from workflows.names import fetch_id, metadata_id, provenance_id

DAY = timedelta(days=1)
NUMBERS = itertools.count()


@pytest.fixture
async def index(koschey: Koschey, upstream: Upstream) -> AsyncIterator[SkippingKoschey]:
    """An index whose time passes when the test says so."""
    database = await new_database(koschey, f"skipping_{next(NUMBERS)}")
    async with skipping(koschey, database, upstream.url) as running:
        yield running


async def test_release_is_held_for_seven_days_and_then_served(index: SkippingKoschey, upstream: Upstream) -> None:
    """A fresh release is hidden for the whole window, then looked at again and released; the workflow ends."""
    file = await hold(index, upstream, "t-seven")
    upstream.forget_requests()
    await index.pass_time(6 * DAY)
    await asyncio.sleep(0.5)
    assert (await index.state_of(file.filename))[0] == "held"
    assert await index.served("t-seven") == []
    await index.pass_time(DAY + timedelta(minutes=1))
    assert await index.wait_for_state(file.filename, "released") == "the quarantine window ended"
    assert upstream.count("/simple/t-seven/") == 1
    assert await index.served("t-seven") == [file.filename]
    result = await index.workflow("t-seven", "1.0").result()
    assert result == {"state": "released", "reasons": ["the quarantine window ended"]}


async def test_timer_that_fires_early_releases_nothing(index: SkippingKoschey, upstream: Upstream) -> None:
    """Temporal's clock decides nothing: while PostgreSQL's window lasts, a fired timer changes nothing."""
    file = await hold(index, upstream, "t-early")
    await index.environment.sleep(30 * DAY)
    await asyncio.sleep(0.5)
    assert (await index.state_of(file.filename))[0] == "held"
    await index.workflow("t-early", "1.0").signal("look_again")
    await asyncio.sleep(0.5)
    assert (await index.state_of(file.filename))[0] == "held"


@pytest.mark.parametrize(
    ("project", "change", "state", "words"),
    [
        ("t-yanked", lambda upstream, _: upstream.yank("t-yanked", "1.0", "bad build"), "blocked", "bad build"),
        ("t-removed", lambda upstream, file: upstream.remove(file.filename), "blocked", "removed"),
        ("t-gone", lambda upstream, _: upstream.remove_project("t-gone"), "blocked", "removed"),
        ("t-seized", lambda upstream, _: upstream.set_status("t-seized", "quarantined", "evil"), "blocked", "evil"),
        ("t-replaced", lambda upstream, file: upstream.replace(file.filename, b"other"), "conflict", "other bytes"),
    ],
)
async def test_second_look_blocks_what_the_upstream_took_back(
    index: SkippingKoschey, upstream: Upstream, project: str, change: object, state: str, words: str
) -> None:
    """What the upstream yanked, removed, quarantined or replaced during the window is not released."""
    file = await hold(index, upstream, project)
    change(upstream, file)  # type: ignore[operator]
    await index.pass_time(8 * DAY)
    for _ in range(6):
        await asyncio.sleep(0.5)
        if (await index.state_of(file.filename))[0] == state:
            break
        # What is missing is looked for some times, up to an hour apart.
        await index.pass_time(timedelta(hours=1))
    assert words in await index.wait_for_state(file.filename, state)
    assert await index.served(project) == []


async def test_upstream_down_at_the_end_of_the_window(index: SkippingKoschey, upstream: Upstream) -> None:
    """When the upstream cannot be asked again the release stays held, and is released once it can."""
    file = await hold(index, upstream, "t-down")
    upstream.down()
    try:
        await index.pass_time(7 * DAY + timedelta(minutes=20))
        await asyncio.sleep(1)
        assert (await index.state_of(file.filename))[0] == "held"
    finally:
        upstream.up()
    for _ in range(20):
        await index.environment.sleep(timedelta(minutes=5))
        if (await index.state_of(file.filename))[0] == "released":
            break
    assert await index.wait_for_state(file.filename, "released")


async def test_late_file_of_an_old_release_is_held_by_itself(index: SkippingKoschey, upstream: Upstream) -> None:
    """A wheel that is added to a release long after it was released gets a window of its own."""
    first = await hold(index, upstream, "t-late")
    await index.pass_time(8 * DAY)
    await index.wait_for_state(first.filename, "released")
    late = upstream.add(
        "t-late", "1.0", filename="t_late-1.0-py3-none-win32.whl", upload_time=datetime.now(UTC) + 8 * DAY
    )
    assert await index.see("t-late") == [first.filename]
    await index.wait_until_stored(late.filename)
    assert (await index.state_of(late.filename))[0] == "held"
    await index.pass_time(8 * DAY)
    await index.wait_for_state(late.filename, "released")
    assert sorted(await index.served("t-late")) == sorted([first.filename, late.filename])


async def test_bytes_that_never_match_stay_held_with_the_cause(index: SkippingKoschey, upstream: Upstream) -> None:
    """A held file whose bytes are not those of the page is not released by time, and the reason stands beside it."""
    file = upstream.add("t-liar", "1.0", upload_time=datetime.now(UTC))
    upstream.fault(file.filename, body=b"z" * file.size)
    assert await index.see("t-liar") == []
    for _ in range(100):
        if "sha256" in (await index.state_of(file.filename))[1]:
            break
        await asyncio.sleep(0.1)
    assert "nothing was kept" in (await index.state_of(file.filename))[1]
    await index.pass_time(8 * DAY)
    await asyncio.sleep(1)
    assert (await index.state_of(file.filename))[0] == "held"
    upstream.clear_faults()
    await index.pass_time(DAY)
    await index.wait_for_state(file.filename, "released")


async def test_history_replays(index: SkippingKoschey, upstream: Upstream, record_histories: Path | None) -> None:
    """The history of a quarantine that saw a timer, a signal and a release replays without a difference."""
    file = await hold(index, upstream, "t-replay")
    workflow = index.workflow("t-replay", "1.0")
    await workflow.signal("approve", {"reviewer": "nobody", "reason": "x"})
    await index.pass_time(8 * DAY)
    await index.wait_for_state(file.filename, "released")
    await workflow.result()
    await check_history(await workflow.fetch_history(), record_histories, "quarantine")


async def test_fetch_is_finished_and_replays(
    index: SkippingKoschey, upstream: Upstream, record_histories: Path | None
) -> None:
    """`FetchFile` brings a file whose process died into the bucket; its history replays without a difference."""
    file = upstream.add("t-fetch", "1.0")
    assert await index.see("t-fetch") == [file.filename]
    number = await index.resources.pool.fetchval("SELECT id FROM file WHERE filename = $1", file.filename)
    async with index.resources.pool.acquire() as connection, connection.transaction():
        await insert_message(connection, FileWanted(number))
    await index.wait_until_stored(file.filename)
    workflow = index.environment.client.get_workflow_handle(fetch_id(number))
    assert await workflow.result() == file.sha256
    await check_history(await workflow.fetch_history(), record_histories, "fetch_file")


async def test_core_metadata_is_read_once_the_upstream_answers_and_replays(
    index: SkippingKoschey, upstream: Upstream, record_histories: Path | None
) -> None:
    """While the upstream is away `DescribeProject` rests, and reads METADATA when it is back; its history replays."""
    file = upstream.add("t-bare", "1.0", core_metadata=False)
    fault = upstream.fault(file.filename, status=503)
    await index.see("t-bare")
    for _ in range(200):
        if fault.applied:
            break
        await asyncio.sleep(0.1)
    await index.pass_time(timedelta(hours=3))  # longer than all retries
    upstream.clear_faults()
    await index.pass_time(timedelta(hours=7))
    workflow = index.environment.client.get_workflow_handle(metadata_id("t-bare"))
    assert await workflow.result() >= 2
    query = "SELECT core_metadata FROM file WHERE filename = $1"
    expected = hashlib.sha256(read_core_metadata(file.content) or b"").hexdigest()
    assert await index.resources.pool.fetchval(query, file.filename) == expected
    await check_history(await workflow.fetch_history(), record_histories, "describe_project")


async def test_provenance_waits_for_the_upstream_and_replays(
    index: SkippingKoschey, upstream: Upstream, sigstore: Sigstore, record_histories: Path | None
) -> None:
    """Provenance that the upstream does not give is asked for again hours later, and again when somebody says so."""
    file = upstream.add("t-proved", "1.0", provenance=sigstore.provenance)
    assert await index.see("t-proved") == [file.filename]
    number = await index.resources.pool.fetchval("SELECT id FROM file WHERE filename = $1", file.filename)
    fault = upstream.fault(file.provenance_path, status=503)
    item = await select_file(index.resources.pool, number)
    assert item is not None
    await index.resources.files.store(item.file)
    workflow = index.environment.client.get_workflow_handle(provenance_id("t-proved", "1.0"))
    await eventually(lambda: fault.applied > 1)
    await index.pass_time(timedelta(hours=3))
    assert await select_attestation(index.resources.pool, number) is None
    upstream.clear_faults()
    await workflow.signal("look_again", True)
    assert await workflow.result() == {"verdicts": {"verified": 1}, "unanswered": 0}
    attested = await select_attestation(index.resources.pool, number)
    assert attested is not None
    assert attested.object == file.provenance
    await check_history(await workflow.fetch_history(), record_histories, "attach_provenance")


async def test_provenance_is_given_up_in_the_end(
    index: SkippingKoschey, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workflow does not ask for ever, and says for how many files it got no answer; what is stored is served."""
    monkeypatch.setattr("workflows.options.PROVENANCE_ROUNDS", 2)
    file = upstream.add("t-mute", "1.0", provenance=lambda *_: b"{}")
    assert await index.see("t-mute") == [file.filename]
    fault = upstream.fault(file.provenance_path, status=503)
    number = await index.resources.pool.fetchval("SELECT id FROM file WHERE filename = $1", file.filename)
    item = await select_file(index.resources.pool, number)
    assert item is not None
    await index.resources.files.store(item.file)
    await eventually(lambda: fault.applied > 0)
    workflow = index.environment.client.get_workflow_handle(provenance_id("t-mute", "1.0"))

    async def has_ended() -> bool:
        return (await workflow.describe()).status is not WorkflowExecutionStatus.RUNNING

    for _ in range(30):
        if await has_ended():
            break
        await index.pass_time(timedelta(hours=1))
    await eventually(has_ended)
    assert await workflow.result() == {"verdicts": {}, "unanswered": 1}
    found = await workflow.describe()
    assert found.close_time is not None
    assert timedelta(hours=6) < found.close_time - found.start_time < DAY
    assert await index.served("t-mute") == [file.filename]
