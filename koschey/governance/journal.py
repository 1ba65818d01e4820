"""The journal as people and programs read it."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from koschey.db import browse
from koschey.db.journal import select_serial
from koschey.db.pool import Database
from koschey.model import Serial


class JournalEntry(Struct, frozen=True, kw_only=True):
    """One change: who, what, why."""

    serial: Serial
    at: datetime
    actor: str
    door: str
    action: str
    project: str | None
    version: str | None
    filename: str | None
    detail: dict[str, Any]


class Journal(Struct, frozen=True, kw_only=True):
    """A part of the journal, and the last serial of all."""

    serial: Serial
    entries: list[JournalEntry]


async def read_journal_after(db: Database, after: Serial, *, limit: int) -> Journal:
    """Return the changes after a serial, the oldest first."""
    found = await browse.select_journal_after(db, after, limit=limit)
    return Journal(serial=await select_serial(db), entries=[_entry(each) for each in found])


async def read_journal_before(db: Database, before: Serial | None, *, limit: int) -> list[JournalEntry]:
    """Return the changes before a serial, or the last changes if `before` is None, the newest first."""
    return [_entry(each) for each in await browse.select_journal(db, before, limit=limit)]


def _entry(row: browse.JournalRow) -> JournalEntry:
    return JournalEntry(**row._asdict())
