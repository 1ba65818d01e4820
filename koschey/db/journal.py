"""The journal: every change takes a serial, in commit order, without gaps, in the transaction of the change.

The time of an entry is that at which it took its serial, so times never run backwards either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from koschey.db.pool import Connection, Database
from koschey.model import Actor, Serial

INSERT_ENTRIES = """
    WITH head AS (
        UPDATE journal_head SET serial = serial + $1, at = greatest(at, koschey_clock())
        RETURNING serial - $1 AS before, at
    )
    INSERT INTO journal (serial, at, actor, door, action, project, version, filename, detail)
    SELECT head.before + entry.number, head.at, $2, $3, $4, $5, entry.version, entry.filename, entry.detail
      FROM head, unnest($6::text[], $7::text[], $8::jsonb[])
                 WITH ORDINALITY AS entry (version, filename, detail, number)
    RETURNING serial
"""
UPDATE_PROJECT_SERIAL = "UPDATE project SET serial = $2 WHERE name = $1"
NOTIFY = "SELECT pg_notify('koschey_project', $1)"
SELECT_SERIAL = "SELECT serial FROM journal_head"


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened to one file or release; the action, the actor and the project are common to a batch."""

    version: str | None = None
    filename: str | None = None
    detail: dict[str, object] = field(default_factory=dict)


async def insert_entries(
    connection: Connection, actor: Actor, action: str, project: str, entries: Sequence[Entry]
) -> Serial:
    """Record what this transaction changes and tell every web process to forget the project's page.

    Called as the last thing of a transaction: the counter's lock makes all later writers wait for the commit.
    Returns the serial of the last entry.
    """
    rows = await connection.fetch(
        INSERT_ENTRIES,
        len(entries),
        actor.name,
        actor.door,
        action,
        project,
        [entry.version for entry in entries],
        [entry.filename for entry in entries],
        [entry.detail for entry in entries],
    )
    serial = Serial(max(row["serial"] for row in rows))
    await connection.execute(UPDATE_PROJECT_SERIAL, project, serial)
    await notify(connection, project)
    return serial


async def notify(connection: Connection, project: str) -> None:
    """Tell every web process to forget the project's page, for a change that takes no serial of its own."""
    await connection.execute(NOTIFY, project)


async def select_serial(db: Database) -> Serial:
    """Return the serial of the last committed change of all."""
    return Serial(await db.fetchval(SELECT_SERIAL))
