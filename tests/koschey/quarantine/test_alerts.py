"""Alerts: raised with their cause, told to a real webhook, again where it does not answer, and signed."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.alerts import AlertActivities
from koschey.db.alerts import select_alert, select_alerts
from koschey.db.pool import Connection, Pool
from koschey.errors import EgressRefused, StartError, UpstreamUnavailable
from koschey.events import AlertKind
from koschey.settings import Settings, load_settings
from koschey.upstream.webhook import Webhook, sign, webhook_of
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.rows import add_project, raise_alert
from tests.support.temporal_cli import temporal
from tests.support.upstream.server import Upstream
from tests.support.webhook import Receiver, receiving
from workflows.options import ALERT

SECRET = b"between us"
PANEL = "https://index.example.org"


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def activities(pool: Pool, receiver: Receiver | None) -> AlertActivities:
    webhook = Webhook(receiver.url, SECRET, allow_private=True) if receiver else None
    return AlertActivities(pool, webhook, PANEL)


async def raised(connection: Connection) -> int:
    """An alert with its cause."""
    project = await add_project(connection, "spam")
    async with connection.transaction():
        await raise_alert(connection, AlertKind.RECALL, project, "1.0", "spam-1.0.tar.gz", {"reason": "malware"})
    return (await select_alerts(connection))[0].id


async def send(alerts: AlertActivities, alert: int) -> str:
    return str(await ActivityEnvironment().run(alerts.send_alert, alert))


# What the webhook gets


async def test_what_is_sent(pool: Pool, connection: Connection, receiver: Receiver) -> None:
    """The webhook gets what happened and where to look, signed with the shared secret, and it is noted when."""
    alert = await raised(connection)
    assert await send(activities(pool, receiver), alert) == "sent"
    ((headers, body),) = receiver.got
    found = await select_alert(connection, alert)
    assert found is not None
    assert json.loads(body) == {
        "id": alert,
        "kind": "recall",
        "project": "spam",
        "version": "1.0",
        "filename": "spam-1.0.tar.gz",
        "serial": 1,
        "at": f"{found.at:%Y-%m-%dT%H:%M:%S.%f}Z",
        "detail": {"reason": "malware"},
        "url": f"{PANEL}/admin/projects/spam",
    }
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == str(alert)
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    assert headers["x-koschey-signature"] == f"sha256={expected}" == sign(SECRET, body)
    assert found.sent_at is not None


async def test_it_is_sent_once(pool: Pool, connection: Connection, receiver: Receiver) -> None:
    """What was taken is not sent again, and one that was sent but not noted is sent alike, under the same key."""
    alert = await raised(connection)
    await send(activities(pool, receiver), alert)
    assert await send(activities(pool, receiver), alert) == "sent before"
    assert len(receiver.got) == 1
    await connection.execute("UPDATE alert SET sent_at = NULL")
    await send(activities(pool, receiver), alert)
    first, second = receiver.got
    assert first[1] == second[1]
    assert first[0]["idempotency-key"] == second[0]["idempotency-key"]


async def test_without_a_webhook_it_is_stored(pool: Pool, connection: Connection) -> None:
    """Where no webhook is set, and where there is no such alert, nothing is sent."""
    alert = await raised(connection)
    assert await send(activities(pool, None), alert) == "not wanted"
    found = await select_alert(connection, alert)
    assert found is not None
    assert found.sent_at is None


async def test_an_unknown_alert(pool: Pool, receiver: Receiver) -> None:
    """An alert that does not exist is nothing to send."""
    assert await send(activities(pool, receiver), 99) == "not wanted"
    assert receiver.got == []


@pytest.mark.parametrize("status", [199 + 101, 302, 400, 404, 410, 429, 500, 503])
async def test_only_2xx_is_an_answer(pool: Pool, connection: Connection, receiver: Receiver, status: int) -> None:
    """Any other answer is a failure that is tried again; a redirect is not followed; the address is not told."""
    alert = await raised(connection)
    receiver.statuses, receiver.location = [status], "http://127.0.0.1:9/elsewhere"
    with pytest.raises(ApplicationError, match=f"the webhook answered {status}") as error:
        await send(activities(pool, receiver), alert)
    assert not error.value.non_retryable
    assert "secret" not in str(error.value)
    assert len(receiver.got) == 1
    found = await select_alert(connection, alert)
    assert found is not None
    assert found.sent_at is None


async def test_nobody_listens() -> None:
    """A webhook that is away is a failure whose words keep the address to themselves."""
    with receiving() as gone:
        url = gone.url
    with pytest.raises(UpstreamUnavailable, match="gives no usable answer") as error:
        await Webhook(url, SECRET, allow_private=True).send("1", {})
    assert "very-secret" not in str(error.value)
    assert "very-secret" not in repr(Webhook(url, SECRET, allow_private=True))


async def test_a_webhook_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes the request and stays silent is given up."""
    monkeypatch.setattr("koschey.upstream.webhook.PATIENCE", 0.3)
    stays = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stays.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(UpstreamUnavailable, match=r"did not answer within 0\.3 seconds"):
            await Webhook(f"http://127.0.0.1:{port}/", None, allow_private=True).send("1", {})
    finally:
        stays.set()
        server.close()
        await server.wait_closed()


async def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    """A signature that everybody could make is not sent."""
    await Webhook(receiver.url, None, allow_private=True).send("1", {})
    assert "x-koschey-signature" not in receiver.got[0][0]


# Where it may lead


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/", "https://169.254.169.254/", "https://[::1]/", "http://example.org/", "https://10.0.0.1/"],
)
async def test_inside_is_refused(url: str) -> None:
    """Without its own setting a webhook leads neither inside nor over plain http."""
    with pytest.raises(EgressRefused):
        await Webhook(url, SECRET, allow_private=False).send("1", {})


async def test_a_name_that_leads_inside_is_refused() -> None:
    """A name is resolved here and judged by its addresses; the refusal names the webhook's own setting."""
    with pytest.raises(EgressRefused, match="KOSCHEY_ALLOW_PRIVATE_WEBHOOK"):
        await Webhook("https://localhost/", SECRET, allow_private=False).send("1", {})


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"KOSCHEY_WEBHOOK": "http://example.org/"}, "KOSCHEY_ALLOW_PRIVATE_WEBHOOK must be set"),
        (
            {"KOSCHEY_WEBHOOK": "http://example.org/", "KOSCHEY_ALLOW_PRIVATE_UPSTREAM": "true"},
            "KOSCHEY_ALLOW_PRIVATE_WEBHOOK must be set",
        ),
        ({"KOSCHEY_WEBHOOK": "https://me:word@example.org/"}, "contains credentials"),
        ({"KOSCHEY_WEBHOOK": "ftp://example.org/"}, "KOSCHEY_WEBHOOK"),
    ],
)
def test_settings_that_are_refused(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str) -> None:
    """A webhook that would never be reached, or would carry secrets, is refused at the start."""
    monkeypatch.setenv("KOSCHEY_DATABASE_URL", "postgresql://localhost/none")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StartError, match=message):
        load_settings()


def test_settings_that_are_taken() -> None:
    """The settings name the webhook, and none of their texts the secret."""
    base = {"database_url": "postgresql://localhost/none"}
    assert webhook_of(Settings.model_validate(base)) is None
    given = {"webhook": "https://example.org/very-secret", "webhook_secret": "between us"}
    settings = Settings.model_validate(base | given)
    webhook = webhook_of(settings)
    assert webhook == Webhook("https://example.org/very-secret", SECRET, allow_private=False)
    assert "secret/" not in repr(settings)
    assert "very-secret" not in repr(settings)
    assert "between us" not in repr(settings) + repr(webhook)


def test_it_is_tried_for_a_day() -> None:
    """An alert is tried again, less and less often, for a day and no longer."""
    policy = ALERT["retry_policy"]
    assert ALERT["schedule_to_close_timeout"].total_seconds() == 24 * 3600
    assert policy.maximum_attempts == 0
    assert policy.backoff_coefficient > 1
    assert policy.maximum_interval is not None
    assert policy.maximum_interval.total_seconds() <= 900


# With the cause


async def test_without_its_cause_there_is_no_alert(connection: Connection) -> None:
    """An alert whose cause was rolled back was never raised, and leaves no message."""
    project = await add_project(connection, "spam")
    transaction = connection.transaction()
    await transaction.start()
    await raise_alert(connection, AlertKind.RECALL, project)
    await transaction.rollback()
    assert await select_alerts(connection) == []
    assert await connection.fetchval("SELECT count(*) FROM outbox") == 0


async def test_alerts_are_listed_newest_first(connection: Connection) -> None:
    """The list begins with the newest, and goes on from where a reader stopped."""
    project = await add_project(connection, "spam")
    kinds = list(AlertKind)[:5]
    for kind in kinds:
        await raise_alert(connection, kind, project)
    first = await select_alerts(connection, limit=2)
    rest = await select_alerts(connection, before=first[-1].id)
    assert [alert.kind for alert in first + rest] == kinds[::-1]


# Through a running index


def test_from_a_recall_to_the_webhook(folder: Path, upstream: Upstream) -> None:
    """A recall reaches the webhook by way of Temporal, also where it fails at first; Temporal keeps no secret."""
    with receiving() as receiver:
        variables = {
            "KOSCHEY_WEBHOOK": receiver.url,
            "KOSCHEY_WEBHOOK_SECRET": SECRET.decode(),
            "KOSCHEY_ALLOW_PRIVATE_WEBHOOK": "true",
        }
        with Koschey(folder / "alerts", upstream.url, variables=variables) as koschey:
            file = upstream.add("al-bad", "1.0", size=2000)
            koschey.page("al-bad")
            assert ask(koschey.url + file.path).status == 200
            receiver.statuses = [500, 503]
            koschey.run("recall", "--yes", "al-bad==1.0", "--reason", "malware")
            sent = "SELECT sent_at FROM alert WHERE kind = 'recall'"
            wait_until(lambda: koschey.fetch_value(sent), timeout=60)
            told = [alert for alert in receiver.alerts if alert["kind"] == "recall"]
            assert [alert["project"] for alert in told] == ["al-bad"] * 3
            assert len({alert["id"] for alert in told}) == 1
            assert told[0]["url"] == f"{koschey.url}/admin/projects/al-bad"
            alerts = json.loads(koschey.run("alerts", "--json").stdout)
            assert [alert["sent_at"] is not None for alert in alerts if alert["kind"] == "recall"] == [True]
            shown = temporal(koschey, "workflow", "show", "-w", f"alert/{told[0]['id']}", "-o", "json")
            assert "SendAlert" in shown
            for secret in ("very-secret", SECRET.decode(), "malware"):
                assert secret not in shown
