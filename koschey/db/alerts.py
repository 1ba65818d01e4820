"""Statements on `alert`: what somebody should know at once. `koschey.db.record` raises alerts.

What one change does to many files is told once for each thing that became of them, and not once a file or a release:
an upstream that deletes a project of thousands of releases is one piece of news, and whoever is sent thousands reads
none. The journal, under the alert's serial, has a row for every file.
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
# Those of long ago are nobody's news any more, as when a webhook is set for the first time.
SELECT_UNSENT = """
    SELECT id FROM alert WHERE sent_at IS NULL AND at > koschey_now() - $1::interval ORDER BY id LIMIT $2
"""
UPDATE_SENT = "UPDATE alert SET sent_at = koschey_now() WHERE id = $1 AND sent_at IS NULL"

NEWEST = 2**63 - 1
"""As the end of a listing: from the newest on."""
FIRST = 10
"""Of how many files an alert tells the names."""


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


async def select_alert(db: Database, alert: int) -> Alert | None:
    """Return one alert by its id."""
    row = await db.fetchrow(SELECT_ALERT, alert)
    return Alert(*row) if row else None


async def select_alerts(db: Database, *, before: int = NEWEST, limit: int = 100) -> list[Alert]:
    """Return alerts older than one, the newest first."""
    return [Alert(*row) for row in await db.fetch(SELECT_ALERTS, before, limit)]


async def select_unsent(db: Database, age: timedelta, limit: int) -> list[int]:
    """Return alerts of late that the webhook has not taken, the oldest first."""
    return [int(row["id"]) for row in await db.fetch(SELECT_UNSENT, age, limit)]


async def update_sent(db: Database, alert: int) -> None:
    """Note that the webhook has taken an alert; what was noted before stays."""
    await db.execute(UPDATE_SENT, alert)


def sum_up(entries: Iterable[Entry]) -> list[Entry]:
    """Return what is told of entries: of one alone all that it says, of more what they have in common."""
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
