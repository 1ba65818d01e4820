"""The journal: every change gets a serial, in commit order, without gaps, in the transaction of the change.

The time of an entry is the time at which it got its serial, so times never run backwards either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from koschey.db.pool import Connection, Database
from koschey.events import AlertKind, Event
from koschey.model import Actor, Serial

# A single statement: the counter's lock makes all other writers wait, and each round trip would prolong that.
INSERT_ENTRIES = """
    WITH head AS (
        UPDATE journal_head SET serial = serial + $1, at = greatest(at, koschey_clock())
        RETURNING serial - $1 AS before, at
    ), entry AS (
        INSERT INTO journal (serial, at, actor, door, action, project, version, filename, detail)
        SELECT head.before + line.number, head.at, $2, $3,
               line.action, line.project, line.version, line.filename, line.detail
          FROM head, unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[])
                     WITH ORDINALITY AS line (action, project, version, filename, detail, number)
        RETURNING serial, project
    ), changed AS (
        UPDATE project SET serial = last.serial
          FROM (SELECT project, max(serial) AS serial FROM entry GROUP BY project) AS last
         WHERE project.name = last.project
    ), raised AS (
        INSERT INTO alert (serial, kind, project, version, filename, detail)
        SELECT head.before + news.number, news.kind, news.project, news.version, news.filename, news.detail
          FROM head, unnest($9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::jsonb[])
                     AS news (number, kind, project, version, filename, detail)
        RETURNING id
    ), message AS (
        INSERT INTO outbox (key, kind, payload)
        SELECT 'alert_raised/' || id, 'alert_raised', jsonb_build_object('alert', id) FROM raised
        RETURNING id
    )
    SELECT max(serial) AS serial,
           (SELECT count(pg_notify('koschey_project', name))
              FROM (SELECT DISTINCT project AS name FROM entry WHERE project IS NOT NULL) AS told) AS told,
           (SELECT count(pg_notify('koschey_outbox', '')) FROM message) AS sent
      FROM entry
"""
NOTIFY = "SELECT pg_notify('koschey_project', $1)"
SELECT_SERIAL = "SELECT serial FROM journal_head"


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened to one file or release. The event, the actor and the project are common to a batch."""

    version: str | None = None
    filename: str | None = None
    detail: dict[str, object] = field(default_factory=dict)


class JournalLine(NamedTuple):
    """One row to be written to the journal."""

    event: Event
    project: str | None
    """None for a change that is not about projects: no page is forgotten."""
    entry: Entry


class News(NamedTuple):
    """An alert to be raised about a row. The outbox holds it until the worker sends it to the webhook."""

    number: int
    """The position of the row among those that are written together, from 1."""
    kind: AlertKind
    project: str | None
    entry: Entry


async def insert_entries(
    connection: Connection, actor: Actor, event: Event, project: str | None, entries: Sequence[Entry]
) -> Serial:
    """Record changes that have the event and the project in common; see `write_lines`."""
    return await write_lines(connection, actor, [JournalLine(event, project, entry) for entry in entries])


async def write_lines(
    connection: Connection, actor: Actor, lines: Sequence[JournalLine], news: Sequence[News] = ()
) -> Serial:
    """Record what this transaction changes, and make every web process forget the pages of these projects.

    Called at the end of a transaction: the counter's lock makes all later writers wait for the commit.
    Returns the serial of the last row.
    """
    serial = await connection.fetchval(
        INSERT_ENTRIES,
        len(lines),
        actor.name,
        actor.door,
        [line.event for line in lines],
        *_columns(lines),
        [alert.number for alert in news],
        [alert.kind for alert in news],
        *_columns(news),
    )
    return Serial(serial)


def _columns(rows: Sequence[JournalLine] | Sequence[News]) -> tuple[list[Any], ...]:
    return (
        [row.project for row in rows],
        [row.entry.version for row in rows],
        [row.entry.filename for row in rows],
        [row.entry.detail for row in rows],
    )


async def notify(connection: Connection, project: str) -> None:
    """Make every web process forget the project's page, for a change that gets no serial."""
    await connection.execute(NOTIFY, project)


async def select_serial(db: Database) -> Serial:
    """Return the serial of the last committed change."""
    return Serial(await db.fetchval(SELECT_SERIAL))
