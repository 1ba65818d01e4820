"""`/_/live`, `/_/ready`, `/_/health`, and what the panel says of work that waits."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from koschey.admin.show import show_span
from koschey.app import create_app
from koschey.db.outbox import claim_messages, delete_message, insert_message
from koschey.db.pool import Connection, Pool
from koschey.db.pulse import report_worker, select_pulse
from koschey.outbox import AlertRaised
from tests.support.app_in_process import AppInProcess
from tests.support.koschey_up import Answer, Koschey, ask, wait_until
from tests.support.panel import Person, add_account
from tests.support.postgres import set_clock
from tests.support.rows import NOON
from tests.support.running_parts import frozen
from tests.support.upstream.server import Upstream

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def koschey(folder: Path, shared_upstream: Upstream) -> Iterator[Koschey]:
    """An index of this module's own: its parts are stopped for a while."""
    with Koschey(folder / "health", shared_upstream.url) as running:
        yield running


def health(koschey: Koschey, name: str) -> Answer:
    """One of the three."""
    answer = ask(f"{koschey.url}/_/{name}", timeout=10)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    return answer


# What counts as waiting


async def test_outbox_age_is_that_of_the_oldest_due_message(connection: Connection) -> None:
    """Neither a claim that fails nor writing it again makes a message younger; one that is due later does not count."""
    await set_clock(connection, NOON)
    assert (await select_pulse(connection)).outbox_age is None
    async with connection.transaction():
        await insert_message(connection, AlertRaised(1))
        await insert_message(connection, AlertRaised(2), delay=10 * MINUTE)
    for minutes in range(1, 9):
        await set_clock(connection, NOON + minutes * MINUTE)
        await claim_messages(connection, 10, timedelta(seconds=30))
        async with connection.transaction():
            await insert_message(connection, AlertRaised(1))
        pulse = await select_pulse(connection)
        assert (pulse.outbox_age, pulse.is_late) == (minutes * MINUTE, minutes >= 5)
    await delete_message(connection, AlertRaised(1))
    assert (await select_pulse(connection)).outbox_age is None
    await set_clock(connection, NOON + 12 * MINUTE)
    assert (await select_pulse(connection)).outbox_age == 2 * MINUTE


async def test_reports_of_workers(pool: Pool) -> None:
    """The last report of any worker counts; Temporal's last answer stays known while it is away; old workers go."""
    assert (await select_pulse(pool))[1:] == (None, None, None)
    await report_worker(pool, "a", reached_temporal=True)
    await pool.execute(
        "UPDATE worker SET seen_at = seen_at - interval '1 hour', temporal_at = temporal_at - '1 hour'::interval"
    )
    await report_worker(pool, "a", reached_temporal=False)
    pulse = await select_pulse(pool)
    assert pulse.worker_seen is not None
    assert pulse.temporal_seen is not None
    assert pulse.worker_seen < MINUTE
    assert pulse.temporal_seen > 59 * MINUTE
    await pool.execute("UPDATE worker SET seen_at = seen_at - interval '2 days'")
    await report_worker(pool, "b", reached_temporal=False)
    assert await pool.fetchval("SELECT array_agg(name) FROM worker") == ["b"]


def test_spans() -> None:
    """How a span reads on a page."""
    spans = (timedelta(), timedelta(seconds=59), 5 * MINUTE, timedelta(hours=26, minutes=3), timedelta(days=400))
    assert [show_span(span) for span in spans] == ["0 s", "59 s", "5 min", "1 d 2 h", "1 y 35 d"]


# A process by itself


def test_live_asks_nobody(app: AppInProcess) -> None:
    """A process that has opened nothing, and whose listener is lost, is live; it is ready once it hears of commits."""
    running = app.app
    app.app = create_app(app.settings)  # type: ignore[assignment]
    try:
        assert app.ask("/_/live").json == {"status": "live"}
    finally:
        app.app = running
    assert app.ask("/_/ready").status == 200
    app.resources.listener.is_listening = False
    try:
        answer = app.ask("/_/ready")
        assert (answer.status, answer.json["status"], answer.json["listener"]) == (503, "not ready", False)
        assert answer.headers["retry-after"]
        assert app.ask("/_/live").status == app.ask("/_/health").status == 200
    finally:
        app.resources.listener.is_listening = True


# With all its parts


def test_all_is_well(koschey: Koschey) -> None:
    """A whole index is live and ready, a worker was seen, and Temporal answered it."""
    answer = wait_until(lambda: (got := health(koschey, "ready")).json["temporal_seen"] is not None and got)
    assert answer.status == 200
    report = answer.json
    assert (report["status"], report["postgresql"], report["listener"], report["bucket"]) == ("ready", True, True, True)
    assert report["worker_seen"] < 30
    assert health(koschey, "health").json["status"] == "ok"
    assert set(health(koschey, "health").json) == {"status", "outbox_age", "worker_seen", "temporal_seen"}


def test_postgresql_hangs(koschey: Koschey) -> None:
    """Without PostgreSQL the process is live and not ready, and says so in time for a probe."""
    with frozen(koschey, "postgres"):
        assert health(koschey, "live").status == 200
        answer = wait_until(lambda: (got := health(koschey, "ready")).status == 503 and got)
        assert (answer.json["status"], answer.json["postgresql"]) == ("not ready", False)
        assert health(koschey, "live").status == 200
    wait_until(lambda: health(koschey, "ready").status == 200)


def test_bucket_hangs(koschey: Koschey) -> None:
    """Without the bucket it is ready: pages and refusals need none."""
    with frozen(koschey, "s3"):
        answer = health(koschey, "ready")
        assert (answer.status, answer.json["bucket"]) == (200, False)
    wait_until(lambda: health(koschey, "ready").json["bucket"])


def test_work_that_waits_shows(koschey: Koschey) -> None:
    """While no worker relays, health and every page of the panel tell for how long; readiness does not change."""
    person = Person(koschey.url)
    person.log_in(add_account(koschey, "hana", ("reviewer", "*")))
    assert "Work has been pending" not in person.ask("/admin/").text
    with frozen(koschey, "worker"):
        koschey.fetch_value(
            "INSERT INTO outbox (key, kind, payload, first_due_at)"
            " VALUES ('alert_raised/9', 'alert_raised', '{\"alert\": 9}', koschey_now() - interval '12 minutes')"
            " RETURNING 1"
        )
        for name in ("ready", "health"):
            answer = health(koschey, name)
            assert answer.status == 200
            assert 12 * 60 <= answer.json["outbox_age"] < 13 * 60
        for path in ("/admin/", "/admin/journal", "/admin/attention"):
            assert "Work has been pending for 12 min" in person.ask(path).text
        assert "due for 12 min" in person.ask("/admin/attention").text
        assert "Work has been pending" not in Person(koschey.url).ask("/admin/login").text
    wait_until(lambda: health(koschey, "health").json["outbox_age"] is None)
    assert "Work has been pending" not in person.ask("/admin/").text
    assert "none is due" in person.ask("/admin/attention").text
