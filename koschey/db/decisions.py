"""Statements on `decision` and `rule`: who decided what, and what is in force for files to come."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database
from koschey.model import MAIN_INDEX, Actor, Serial, Sha256
from koschey.policy.rules import Rule, RuleKind, Rules

INSERT_DECISIONS = """
    INSERT INTO decision (serial, index_id, action, project, version, filename, sha256, actor, door, reason)
    SELECT $2, index.id, $3, $4, row.version, row.filename, row.sha256, $5, $6, $7
      FROM index, unnest($8::text[], $9::text[], $10::text[]) AS row (version, filename, sha256)
     WHERE index.name = $1
"""
UPSERT_RULE = """
    INSERT INTO rule (index_id, kind, project, version, reason, actor)
    SELECT id, $2, $3, $4, $5, $6 FROM index WHERE name = $1
    ON CONFLICT (index_id, kind, project, version)
    DO UPDATE SET reason = excluded.reason, actor = excluded.actor, at = koschey_now()
"""
DELETE_RULES = """
    DELETE FROM rule USING index
     WHERE index.name = $1 AND rule.index_id = index.id
       AND rule.kind = $2 AND rule.project = $3 AND rule.version = $4
"""
CONCERNS = """
    (rule.project = $2
     OR (rule.kind = 'reserved' AND right(rule.project, 2) = '-*'
         AND ($2 = left(rule.project, -2) OR starts_with($2, left(rule.project, -1)))))
"""
"""Whether a rule speaks of the project $2: by its name, or by a reserved pattern that the name is of."""
SELECT_RULES = f"""
    SELECT rule.kind, rule.version, rule.reason, rule.actor
      FROM rule JOIN index ON index.id = rule.index_id
     WHERE index.name = $1 AND {CONCERNS}
"""  # noqa: S608
SELECT_RESERVATIONS = """
    SELECT rule.project AS pattern, rule.reason, rule.actor, rule.at
      FROM rule JOIN index ON index.id = rule.index_id
     WHERE index.name = $1 AND rule.kind = 'reserved'
     ORDER BY rule.project
"""

WHOLE_PROJECT = ""
"""`rule.version` of a rule for all versions."""


async def insert_decisions(
    connection: Connection,
    serial: Serial,
    actor: Actor,
    action: str,
    project: NormalizedName,
    bound: Sequence[tuple[str | None, str | None, Sha256 | None]],
    reason: str,
) -> None:
    """Record a decision for each (version, filename, sha256) that it binds."""
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
        list(versions),
        list(filenames),
        list(digests),
    )


async def upsert_rule(
    connection: Connection, kind: RuleKind, project: str, version: str | None, reason: str, actor: Actor
) -> None:
    """Put a rule in force, in place of the one of the same kind and scope."""
    await connection.execute(UPSERT_RULE, MAIN_INDEX, kind, project, version or WHOLE_PROJECT, reason, actor.name)


async def delete_rule(connection: Connection, kind: RuleKind, project: str, version: str | None) -> bool:
    """Lift a rule; False when there was none."""
    done = await connection.execute(DELETE_RULES, MAIN_INDEX, kind, project, version or WHOLE_PROJECT)
    return bool(done != "DELETE 0")


class Reservation(NamedTuple):
    """A name, or all names that begin so, kept for private packages."""

    pattern: str
    reason: str
    actor: str
    at: datetime


async def select_reservations(db: Database) -> list[Reservation]:
    """Return all reservations that are in force."""
    return [Reservation(*row) for row in await db.fetch(SELECT_RESERVATIONS, MAIN_INDEX)]


async def select_rules(db: Database, project: NormalizedName) -> Rules:
    """Return all rules that speak of a project or of one of its versions."""
    rows = await db.fetch(SELECT_RULES, MAIN_INDEX, project)
    return Rules(
        tuple(Rule(RuleKind(row["kind"]), row["version"] or None, row["reason"], row["actor"]) for row in rows)
    )
