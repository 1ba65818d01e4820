"""Following the upstream and keeping house: what is noticed though nobody asks, and what is put in order."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from koschey.concurrency.waiting import cancelled
from koschey.events import AlertKind
from koschey.mirror.follower import AT_ONCE, Follower
from koschey.quarantine.sweep import requeue_unsent_alerts
from koschey.worker.background import keep_resending_alerts, keep_running, permanent_workflows
from tests.support.histories import check_history
from tests.support.koschey_up import Koschey
from tests.support.rows import raise_alert
from tests.support.time_skipping import SkippingKoschey, new_database, skipping, wait_until_resting
from tests.support.upstream.server import Upstream
from tests.support.webhook import receiving
from workflows.names import FOLLOW_ID, HOUSEKEEPING_ID, alert_id

NUMBERS = itertools.count()
MINUTES = timedelta(minutes=10)


@pytest.fixture
async def index(koschey: Koschey, upstream: Upstream) -> AsyncIterator[SkippingKoschey]:
    """An index whose time passes when the test says so, and whose pages are fresh for ten minutes."""
    database = await new_database(koschey, f"following_{next(NUMBERS)}")
    async with skipping(koschey, database, upstream.url, freshness=600, downloads_kept_days=30) as running:
        yield running


async def run_steady(index: SkippingKoschey, workflow_id: str) -> WorkflowHandle[object, object]:
    """Have what always runs started, as a worker does."""
    client: Client = index.environment.client
    wanted = [one for one in permanent_workflows(index.resources.settings) if one.id == workflow_id]
    task = asyncio.create_task(keep_running(client, wanted))
    await asyncio.sleep(1)
    task.cancel()
    return client.get_workflow_handle(workflow_id)


async def test_withdrawal_is_noticed_though_nobody_asks(
    index: SkippingKoschey, upstream: Upstream, record_histories: Path | None
) -> None:
    """A release that its upstream takes back is suspected gone within a round, without one request for its page."""
    file = upstream.add("w-gone", "1.0", upload_time=datetime.now(UTC) - timedelta(days=30))
    other = upstream.add("w-held", "1.0", upload_time=datetime.now(UTC))
    assert await index.see("w-gone") == [file.filename]
    await index.see("w-held")
    await index.wait_until_stored(other.filename)
    workflow = await run_steady(index, FOLLOW_ID)
    upstream.forget_requests()
    upstream.remove(file.filename)
    await index.pass_time(MINUTES * 2)
    query = "SELECT absent_since IS NOT NULL FROM project WHERE name = 'w-gone'"
    async with asyncio.timeout(30):
        while not await index.resources.pool.fetchval(query):
            await asyncio.sleep(0.1)
    assert upstream.count("/simple/w-gone/") >= 1
    await workflow.signal("look_again")
    await asyncio.sleep(0.3)
    await check_history(await workflow.fetch_history(), record_histories, "follow_upstream")


async def test_following_is_switched_off(index: SkippingKoschey) -> None:
    """Without the setting nothing is started, and a workflow that still runs ends."""
    off = index.resources.settings.model_copy(update={"follow_upstream": False})
    assert FOLLOW_ID not in {one.id for one in permanent_workflows(off)}
    assert FOLLOW_ID in {one.id for one in permanent_workflows(index.resources.settings)}


async def test_what_waits_is_looked_at_first_and_a_failure_stops_nobody(
    index: SkippingKoschey, upstream: Upstream
) -> None:
    """Projects with held files come before others; one that cannot be read rests, and the others have their turn."""
    for number in range(6):
        upstream.add(f"f-old-{number}", "1.0", upload_time=datetime.now(UTC) - timedelta(days=90))
        await index.see(f"f-old-{number}")
    upstream.add("f-new", "1.0", upload_time=datetime.now(UTC))
    await index.see("f-new")
    execute = index.resources.pool.execute
    await execute("UPDATE standing SET available_at = koschey_now() - interval '60 days' WHERE state = 'released'")
    await execute("UPDATE test_clock SET ahead = ahead + interval '1 hour'")
    follower = Follower(index.resources.pool, index.resources.refresher, timedelta(minutes=10))
    upstream.forget_requests()
    assert (await follower.refresh_stale(1)).refreshed == 1
    assert upstream.count("/simple/f-new/") == 1
    upstream.fault("/simple/f-old-0/", status=503)
    looks = await follower.refresh_stale(10)
    assert (looks.refreshed, looks.failed) == (5, 1)
    looks = await follower.refresh_stale(10)
    assert (looks.refreshed, looks.failed) == (0, 0)
    assert AT_ONCE == 4


async def test_house_is_kept(index: SkippingKoschey, upstream: Upstream, record_histories: Path | None) -> None:
    """A rule that has ended is written off, a quarantine that was ended runs again, old downloads are forgotten."""
    file = upstream.add("h-lost", "1.0", upload_time=datetime.now(UTC))
    await index.see("h-lost")
    await index.wait_until_stored(file.filename)
    await wait_until_resting(index.workflow("h-lost", "1.0"))
    await index.workflow("h-lost", "1.0").terminate("gone")
    pool = index.resources.pool
    await pool.execute(
        """INSERT INTO rule (index_id, kind, project, version, reason, actor, expires_at)
           SELECT id, 'trusted', 'h-other', '', 'a while', 'admin', koschey_now() - interval '1 minute' FROM index"""
    )
    await pool.execute(
        """INSERT INTO download (index_id, file_id, at)
           SELECT index.id, file.id, koschey_now() - interval '40 days' FROM index, file"""
    )
    workflow = await run_steady(index, HOUSEKEEPING_ID)
    async with asyncio.timeout(30):
        while await pool.fetchval("SELECT (SELECT count(*) FROM rule) + (SELECT count(*) FROM download)"):
            await asyncio.sleep(0.1)
        while (await index.workflow("h-lost", "1.0").describe()).status is not WorkflowExecutionStatus.RUNNING:
            await asyncio.sleep(0.1)
    await check_history(await workflow.fetch_history(), record_histories, "housekeeping")
    await wait_until_resting(workflow)
    await workflow.terminate("it would go its round a thousand times in a week")
    await index.pass_time(timedelta(days=8))
    await index.wait_for_state(file.filename, "released")


async def alerted(index: SkippingKoschey) -> int:
    """Raise an alert, and wait until the outbox has been seen to."""
    pool = index.resources.pool
    async with pool.acquire() as connection, connection.transaction():
        await raise_alert(connection, AlertKind.FINDING, "a-told")
    async with asyncio.timeout(30):
        while await pool.fetchval("SELECT count(*) FROM outbox"):
            await asyncio.sleep(0.1)
    return int(await pool.fetchval("SELECT max(id) FROM alert"))


async def is_told(index: SkippingKoschey, number: int) -> None:
    """Wait until it is written down that the webhook took an alert."""
    async with asyncio.timeout(30):
        while not await index.resources.pool.fetchval("SELECT sent_at FROM alert WHERE id = $1", number):
            await asyncio.sleep(0.1)


async def test_without_a_webhook_alerts_start_nothing(index: SkippingKoschey) -> None:
    """Where no webhook is set, an alert stays on the list, its message is gone, and no workflow was started."""
    workflow = index.environment.client.get_workflow_handle(alert_id(await alerted(index)))
    with pytest.raises(RPCError, match="not found"):
        await workflow.describe()
    assert await index.resources.pool.fetchval("SELECT sent_at FROM alert") is None


async def test_alerts_of_late_are_told_once_there_is_a_webhook(
    koschey: Koschey, upstream: Upstream, record_histories: Path | None
) -> None:
    """One from before the webhook was set is told of when a worker with it starts, one of eight days ago is not."""
    database = await new_database(koschey, f"following_{next(NUMBERS)}")
    async with skipping(koschey, database, upstream.url) as before:
        old = await alerted(before)
        await before.pass_time(timedelta(days=8))
        missed = await alerted(before)
    with receiving() as receiver:
        webhook: dict[str, Any] = {"webhook": receiver.url, "allow_private_webhook": True}
        async with skipping(koschey, database, upstream.url, **webhook) as index:
            new = await alerted(index)
            await is_told(index, new)
            workflow = index.environment.client.get_workflow_handle(alert_id(new))
            assert await workflow.result() == "sent"
            await check_history(await workflow.fetch_history(), record_histories, "send_alert")
            telling = asyncio.create_task(keep_resending_alerts(index.resources.pool))
            await is_told(index, missed)
            await cancelled(telling)
            assert [alert["id"] for alert in receiver.alerts] == [new, missed]
            assert not await index.resources.pool.fetchval("SELECT sent_at FROM alert WHERE id = $1", old)
            assert await requeue_unsent_alerts(index.resources.pool) == 0
