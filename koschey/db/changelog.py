"""Statements on the journal for mirrors: what changed since a serial, and which of the files are served now."""

from collections.abc import Sequence

from koschey.db.pool import Database
from koschey.events import Event
from koschey.model import MAIN_INDEX
from koschey.standards.changelog import ChangelogEntry

# For each entry PostgreSQL looks up its project and its file. It might plan joins with all of them otherwise.
SELECT_CHANGES = """
    SELECT journal.serial, journal.at, journal.action AS event, project.name AS project, journal.version,
           journal.filename,
           journal.detail ->> 'state' AS state, journal.detail ->> 'status' AS status,
           journal.detail ->> 'yanked' AS yanked, journal.detail ->> 'was' AS was,
           coalesce((SELECT true FROM served_file
                      WHERE served_file.index_id = (SELECT id FROM index WHERE name = $1)
                        AND served_file.project_id = project.id
                        AND served_file.filename = journal.filename LIMIT 1), false) AS file_served
      FROM journal
      LEFT JOIN LATERAL (SELECT id, name FROM project WHERE project.name = journal.project OFFSET 0) AS project ON true
     WHERE journal.serial > $2
     ORDER BY journal.serial
     LIMIT $3
"""
EVENTS = {event.value: event for event in Event}
"""Events by their texts. A journal may contain other texts, written by another version of Koschey."""


async def select_changes(db: Database, since: int, *, limit: int) -> Sequence[ChangelogEntry]:
    """Return the first changes after a serial, the oldest first."""
    rows = await db.fetch(SELECT_CHANGES, MAIN_INDEX, since, limit)
    return [ChangelogEntry(**dict(row) | {"event": EVENTS.get(row["event"])}) for row in rows]
