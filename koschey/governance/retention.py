"""Deletes old download records if the operator configures that: a recall then reports only later downloads.

It deletes records up to a midnight (UTC), so that this happens once a day, with one line in the journal.
"""

from datetime import timedelta

from koschey.db import downloads, journal
from koschey.db.journal import Entry
from koschey.db.pool import Connection
from koschey.events import Event
from koschey.model import SYSTEM

MOST = 50
"""Maximum number of portions in one transaction; the next one deletes the rest."""


async def forget_downloads(connection: Connection, max_age: timedelta) -> int:
    """Delete download records older than `kept`, and record that in the journal; return how many were deleted."""
    async with connection.transaction():
        until = await downloads.select_midnight(connection, max_age)
        forgotten, after = 0, 0
        for _ in range(MOST):
            count, after = await downloads.delete_downloads(connection, until, after)
            forgotten += count
            if count < downloads.PORTION:
                break
        if forgotten:
            detail: dict[str, object] = {"downloads": forgotten, "until": until.isoformat()}
            await journal.insert_entries(connection, SYSTEM, Event.FORGET_DOWNLOADS, "*", [Entry(detail=detail)])
        return forgotten
