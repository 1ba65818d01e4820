"""Downloads of long ago, forgotten where the operator wants that: a recall then asks only who took a file since.

Until midnight (UTC), so that it happens once a day, with one line in the journal.
"""

from datetime import timedelta

from koschey.db import downloads, journal
from koschey.db.journal import Entry
from koschey.db.pool import Connection
from koschey.events import Event
from koschey.model import SYSTEM

MOST = 50
"""Portions of one transaction; the rest has its turn with the next."""


async def forget_downloads(connection: Connection, kept: timedelta) -> int:
    """Delete what was written down longer ago than that, and say so in the journal; returns how many downloads."""
    async with connection.transaction():
        until = await downloads.select_midnight(connection, kept)
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
