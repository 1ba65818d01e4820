"""Statements on `decision`: who decided what, and for which reason."""

from collections.abc import Sequence
from datetime import timedelta

from koschey.db.pool import Connection, Database
from koschey.events import AlertKind
from koschey.model import MAIN_INDEX, Actor, Serial, Sha256
from koschey.policy.rules import Rule

INSERT_DECISIONS = """
    INSERT INTO decision (serial, index_id, action, project, version, filename, sha256, actor, door, reason, ticket,
                          seconded_by)
    SELECT $2, index.id, $3, $4, row.version, row.filename, row.sha256, $5, $6, $7, $8, $9
      FROM index, unnest($10::text[], $11::text[], $12::text[]) AS row (version, filename, sha256)
     WHERE index.name = $1
"""
INSERT_POLICY_DECISIONS = """
    INSERT INTO decision (serial, index_id, action, project, version, actor, door, reason, ticket)
    SELECT row.serial, index.id, 'policy', row.scope, row.version, $2, $3, $4, row.ticket
      FROM index, unnest($5::bigint[], $6::text[], $7::text[], $8::text[]) AS row (serial, scope, version, ticket)
     WHERE index.name = $1
"""
# An alert about several releases lists their versions; one about the whole project has no version.
# A decision about a whole project has a row without a version, besides those of its files.
SELECT_RECALLED = """
    SELECT version FROM (
        SELECT decision.version, decision.serial, decision.action = 'recall' AS is_recalled
          FROM decision JOIN index ON index.id = decision.index_id
         WHERE index.name = $1 AND decision.project = $2 AND decision.action IN ('recall', 'unblock')
        UNION ALL
        SELECT coalesce(named.version, alert.version), alert.serial, true
          FROM alert
          LEFT JOIN LATERAL jsonb_array_elements_text(alert.detail -> 'versions') AS named (version) ON true
         WHERE alert.project = $2 AND alert.kind = $3
    ) AS event
     GROUP BY version
    HAVING max(serial) FILTER (WHERE is_recalled) > coalesce(max(serial) FILTER (WHERE NOT is_recalled), 0)
"""
SELECT_REPEATED = """
    SELECT serial FROM (
        SELECT action, actor, reason, serial, at
          FROM decision JOIN index ON index.id = decision.index_id AND index.name = $1
         WHERE project = $2 AND (version = $3 OR version IS NULL)
         ORDER BY serial DESC
         LIMIT 1
    ) AS last
     WHERE action = $4 AND actor = $5 AND reason = $6 AND at > koschey_now() - $7::interval
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
    """Record a decision for each (version, filename, sha256) that it binds, with the second reviewer who agreed."""
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


async def insert_policy_decisions(
    connection: Connection, actor: Actor, changed: Sequence[tuple[Serial, Rule]], reason: str
) -> None:
    """Record a decision for each rule that a change of the policy activated or removed."""
    await connection.execute(
        INSERT_POLICY_DECISIONS,
        MAIN_INDEX,
        actor.name,
        actor.door,
        reason,
        [serial for serial, _ in changed],
        [rule.scope for _, rule in changed],
        [rule.version for _, rule in changed],
        [rule.ticket for _, rule in changed],
    )


async def select_recalled(db: Database, project: str) -> set[str | None]:
    """Return the versions that were recalled, or reported as malicious, and not unblocked since.

    None in the set means the whole project.
    """
    return {row["version"] for row in await db.fetch(SELECT_RECALLED, MAIN_INDEX, project, AlertKind.RECALL)}


async def select_repeated(
    connection: Connection, actor: Actor, action: str, project: str, version: str, reason: str, within: timedelta
) -> Serial | None:
    """Return the serial of the last decision about a release if it was the same one, less than `within` ago."""
    serial = await connection.fetchval(
        SELECT_REPEATED, MAIN_INDEX, project, version, action, actor.name, reason, within
    )
    return None if serial is None else Serial(serial)
