"""Statements on `alert`: what somebody should know at once."""

from datetime import datetime
from typing import Any, NamedTuple

from koschey.db.outbox import insert_message
from koschey.db.pool import Connection, Database
from koschey.model import Serial
from koschey.outbox import AlertRaised

COLUMNS = "id, kind, project, version, filename, serial, at, detail, sent_at"
INSERT_ALERT = """
    INSERT INTO alert (serial, kind, project, version, filename, detail) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
"""
SELECT_ALERT = f"SELECT {COLUMNS} FROM alert WHERE id = $1"  # noqa: S608
SELECT_ALERTS = f"SELECT {COLUMNS} FROM alert WHERE id < $1 ORDER BY id DESC LIMIT $2"  # noqa: S608
UPDATE_SENT = "UPDATE alert SET sent_at = koschey_now() WHERE id = $1 AND sent_at IS NULL"

NEWEST = 2**63 - 1
"""As the end of a listing: from the newest on."""


class Alert(NamedTuple):
    """One alert."""

    id: int
    kind: str
    project: str | None
    version: str | None
    filename: str | None
    serial: Serial
    """Of the change that caused it."""
    at: datetime
    detail: dict[str, Any]
    sent_at: datetime | None
    """When the webhook took it; None where it did not yet, or none is set."""


async def insert_alert(
    connection: Connection,
    serial: Serial,
    kind: str,
    project: str | None,
    version: str | None = None,
    filename: str | None = None,
    detail: dict[str, object] | None = None,
) -> None:
    """Raise an alert in the transaction of the change that caused it; `serial` is that change's in the journal.

    It leaves for the webhook by way of the outbox once the transaction commits.
    """
    alert = await connection.fetchval(INSERT_ALERT, serial, kind, project, version, filename, detail or {})
    await insert_message(connection, AlertRaised(alert))


async def select_alert(db: Database, alert: int) -> Alert | None:
    """Return one alert by its id."""
    row = await db.fetchrow(SELECT_ALERT, alert)
    return Alert(*row) if row else None


async def select_alerts(db: Database, *, before: int = NEWEST, limit: int = 100) -> list[Alert]:
    """Return alerts older than one, the newest first."""
    return [Alert(*row) for row in await db.fetch(SELECT_ALERTS, before, limit)]


async def update_sent(db: Database, alert: int) -> None:
    """Note that the webhook has taken an alert; what was noted before stays."""
    await db.execute(UPDATE_SENT, alert)
