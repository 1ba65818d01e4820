"""Statements on `alert`: what people should know at once. `koschey.db.record` raises alerts.

A change of many files raises one alert for each outcome, rather than one for each file or release. An upstream that
deletes a project of thousands of releases is one piece of news, and nobody would read thousands of alerts. The journal
has a row for every file, under the alert's serial.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from koschey.db.journal import Entry
from koschey.db.pool import Database
from koschey.model import Serial

COLUMNS = "id, kind, project, version, filename, serial, at, detail, sent_at"
SELECT_ALERT = f"SELECT {COLUMNS} FROM alert WHERE id = $1"  # noqa: S608
SELECT_ALERTS = f"SELECT {COLUMNS} FROM alert WHERE id < $1 ORDER BY id DESC LIMIT $2"  # noqa: S608
# Old alerts are not sent any more, such as those from before a webhook was configured.
SELECT_UNSENT = """
    SELECT id FROM alert WHERE sent_at IS NULL AND at > koschey_now() - $1::interval ORDER BY id LIMIT $2
"""
UPDATE_SENT = "UPDATE alert SET sent_at = koschey_now() WHERE id = $1 AND sent_at IS NULL"

NEWEST = 2**63 - 1
"""As `before` of a listing: start with the newest alert."""
FIRST = 10
"""Maximum number of filenames in an alert."""


class Alert(NamedTuple):
    """One alert."""

    id: int
    kind: str
    project: str | None
    version: str | None
    filename: str | None
    serial: Serial
    """The serial of the change that caused the alert."""
    at: datetime
    detail: dict[str, Any]
    sent_at: datetime | None
    """When the webhook accepted it; None if it has not done so yet, or if no webhook is configured."""


async def select_alert(db: Database, alert: int) -> Alert | None:
    """Return one alert by its id."""
    row = await db.fetchrow(SELECT_ALERT, alert)
    return Alert(*row) if row else None


async def select_alerts(db: Database, *, before: int = NEWEST, limit: int = 100) -> list[Alert]:
    """Return the alerts with an id below `before`, the newest first."""
    return [Alert(*row) for row in await db.fetch(SELECT_ALERTS, before, limit)]


async def select_unsent(db: Database, age: timedelta, limit: int) -> list[int]:
    """Return the ids of alerts younger than `age` that the webhook has not accepted, the oldest first."""
    return [int(row["id"]) for row in await db.fetch(SELECT_UNSENT, age, limit)]


async def update_sent(db: Database, alert: int) -> None:
    """Record that the webhook has accepted an alert. An earlier time is kept."""
    await db.execute(UPDATE_SENT, alert)


def sum_up(entries: Iterable[Entry]) -> list[Entry]:
    """Return one entry for each outcome: a single entry unchanged, several reduced to what they have in common."""
    became: dict[tuple[object, object], list[Entry]] = {}
    for entry in entries:
        became.setdefault((entry.detail.get("state"), entry.detail.get("served")), []).append(entry)
    return [_in_common(alike) if len(alike) > 1 else alike[0] for alike in became.values()]


def _in_common(entries: Sequence[Entry]) -> Entry:
    first, versions = entries[0], list(dict.fromkeys(entry.version for entry in entries))
    detail = {
        name: value for name, value in first.detail.items() if all(entry.detail.get(name) == value for entry in entries)
    }
    detail |= {"files": len(entries), "releases": len(versions), "first": [e.filename for e in entries[:FIRST]]}
    return Entry(versions[0] if len(versions) == 1 else None, None, detail)
