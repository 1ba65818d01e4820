"""Statements on `decision`: who decided what, and why."""

from collections.abc import Sequence

from koschey.db.pool import Connection
from koschey.model import MAIN_INDEX, Actor, Serial, Sha256

INSERT_DECISIONS = """
    INSERT INTO decision (serial, index_id, action, project, version, filename, sha256, actor, door, reason, ticket,
                          seconded_by)
    SELECT $2, index.id, $3, $4, row.version, row.filename, row.sha256, $5, $6, $7, $8, $9
      FROM index, unnest($10::text[], $11::text[], $12::text[]) AS row (version, filename, sha256)
     WHERE index.name = $1
"""


async def insert_decisions(
    connection: Connection,
    serial: Serial,
    actor: Actor,
    action: str,
    project: str,
    bound: Sequence[tuple[str | None, str | None, Sha256 | None]],
    reason: str,
    *,
    ticket: str | None = None,
    seconded_by: str | None = None,
) -> None:
    """Record a decision for each (version, filename, sha256) that it binds, with the second person who agreed."""
    versions, filenames, digests = zip(*bound, strict=True)
    await connection.execute(
        INSERT_DECISIONS,
        MAIN_INDEX,
        serial,
        action,
        project,
        actor.name,
        actor.door,
        reason,
        ticket,
        seconded_by,
        list(versions),
        list(filenames),
        list(digests),
    )
