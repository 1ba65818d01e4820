"""Statements on the chain of the journal, as those read it who verify or export it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from koschey.db.pool import Database
from koschey.model import Serial

# `detail` as the text whose bytes the digest covers.
SELECT_CHAIN = """
    SELECT journal.serial, journal.at, journal.actor, journal.door, journal.action, journal.project, journal.version,
           journal.filename, journal.detail::text AS detail, journal_digest.digest
      FROM journal LEFT JOIN journal_digest ON journal_digest.serial = journal.serial
     WHERE journal.serial > $1
     ORDER BY journal.serial
     LIMIT $2
"""
SELECT_CHAIN_HEAD = "SELECT serial, digest FROM journal_digest ORDER BY serial DESC LIMIT 1"

PORTION = 5_000
"""Entries that are read at a time."""


class ChainedEntry(NamedTuple):
    """An entry of the journal with its digest."""

    serial: Serial
    at: datetime
    actor: str
    door: str
    action: str
    project: str | None
    version: str | None
    filename: str | None
    detail: str
    """A JSON object, as PostgreSQL writes it."""
    digest: bytes | None
    """SHA-256 of the digest before it and of this entry; None if the entry has none."""


class ChainHead(NamedTuple):
    """The last entry that has a digest."""

    serial: Serial
    digest: bytes


async def select_chain(db: Database, after: int) -> AsyncIterator[ChainedEntry]:
    """Yield all entries after a serial in their order, in portions."""
    while rows := await db.fetch(SELECT_CHAIN, after, PORTION):
        for row in rows:
            yield ChainedEntry(*row)
        after = rows[-1]["serial"]


async def select_chain_head(db: Database) -> ChainHead | None:
    """Return the last entry that has a digest, or None if no entry has one."""
    row = await db.fetchrow(SELECT_CHAIN_HEAD)
    return ChainHead(Serial(row["serial"]), row["digest"]) if row else None
