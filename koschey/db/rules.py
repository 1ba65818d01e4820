"""Statements on `rule`: the policy for the files that are here and for future ones."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from koschey.db.pool import Connection, Database, read_time
from koschey.model import MAIN_INDEX, Actor, Origin
from koschey.policy.rules import Rule, RuleKind, Rules

COLUMNS = """
    rule.kind, rule.project AS scope, rule.version, rule.subject, rule.value, rule.reason, rule.actor,
    rule.expires_at, rule.ticket, rule.seconded_by
"""
ORDER = "rule.kind, rule.project, rule.version, rule.subject"
"""The order in which people and programs see rules. Together with the index it is a key, so the order is total."""
UPSERT_RULE = """
    INSERT INTO rule (index_id, kind, project, version, subject, value, reason, actor, expires_at, ticket, seconded_by)
    SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM index WHERE name = $1
    ON CONFLICT (index_id, kind, project, version, subject)
    DO UPDATE SET value = excluded.value, reason = excluded.reason, actor = excluded.actor, at = koschey_now(),
                  expires_at = excluded.expires_at, ticket = excluded.ticket, seconded_by = excluded.seconded_by
"""
DELETE_RULE = """
    DELETE FROM rule USING index
     WHERE index.name = $1 AND rule.index_id = index.id
       AND rule.kind = $2 AND rule.project = $3 AND rule.version = $4 AND rule.subject = $5
"""
IS_ACTIVE = "(rule.expires_at IS NULL OR rule.expires_at > koschey_now())"
SELECT_RULES = f"""
    SELECT {COLUMNS}
      FROM rule JOIN index ON index.id = rule.index_id
     WHERE index.name = $1 AND {IS_ACTIVE} AND in_scope(rule.project, $2, $3)
     ORDER BY {ORDER}
"""  # noqa: S608
RULES = f"""
    (SELECT coalesce(jsonb_agg(to_jsonb(active)), '[]')
       FROM (SELECT {COLUMNS}
               FROM rule JOIN index ON index.id = rule.index_id
              WHERE index.name = $1 AND {IS_ACTIVE}
                AND in_scope(rule.project, $2, coalesce(project.origin, 'mirrored'))
              ORDER BY {ORDER}) AS active)
"""  # noqa: S608
"""The same as one value, for `read_rules`. The statement has the row of the project, or nulls, as `project`."""
SELECT_ALL_RULES = f"""
    SELECT {COLUMNS}
      FROM rule JOIN index ON index.id = rule.index_id
     WHERE index.name = $1 AND {IS_ACTIVE}
     ORDER BY {ORDER}
"""  # noqa: S608
SELECT_EXCEPTIONS = f"""
    SELECT {COLUMNS}
      FROM rule JOIN index ON index.id = rule.index_id
     WHERE index.name = $1 AND rule.kind = 'exception' AND {IS_ACTIVE}
       AND ($2::timestamptz IS NULL OR rule.expires_at <= $2)
     ORDER BY rule.expires_at, rule.project, rule.version, rule.subject
"""  # noqa: S608
SELECT_RESERVATIONS = f"""
    SELECT rule.project AS pattern, rule.reason, rule.actor, rule.at
      FROM rule JOIN index ON index.id = rule.index_id
     WHERE index.name = $1 AND rule.kind = 'reserved' AND {IS_ACTIVE}
     ORDER BY rule.project
"""  # noqa: S608
# A name without a project would become a mirrored project.
SELECT_PROJECT_RULES = f"""
    SELECT {COLUMNS}
      FROM rule JOIN index ON index.id = rule.index_id LEFT JOIN project ON project.name = $2
     WHERE index.name = $1 AND {IS_ACTIVE} AND in_scope(rule.project, $2, coalesce(project.origin, 'mirrored'))
     ORDER BY {ORDER}
"""  # noqa: S608
# Changes of the whole policy wait for each other. A transaction that adds files refers to the index, and does not wait.
LOCK_POLICY = "SELECT 1 FROM index WHERE name = $1 FOR NO KEY UPDATE"
DELETE_EXPIRED = f"""
    WITH ended AS (
        DELETE FROM rule USING index
         WHERE index.name = $1 AND rule.index_id = index.id AND rule.expires_at <= koschey_now()
        RETURNING rule.*
    )
    SELECT {COLUMNS} FROM ended AS rule ORDER BY {ORDER}
"""  # noqa: S608
SELECT_EXPIRED = f"""
    SELECT {COLUMNS}
      FROM rule JOIN index ON index.id = rule.index_id
     WHERE index.name = $1 AND rule.expires_at <= koschey_now()
     ORDER BY {ORDER}
"""  # noqa: S608
SELECT_SECONDS_LEFT = """
    SELECT extract(epoch FROM min(expires_at) - koschey_now())::float8 FROM rule WHERE expires_at > koschey_now()
"""


class Reservation(NamedTuple):
    """A name, or all names with a prefix, reserved for private packages."""

    pattern: str
    reason: str
    actor: str
    at: datetime


async def upsert_rule(
    connection: Connection, kind: RuleKind, scope: str, version: str | None, reason: str, actor: Actor
) -> None:
    """Activate a rule without a value, in place of the one of the same kind, scope and version."""
    await write_rule(connection, Rule(kind, version, reason, actor.name, scope))


async def write_rule(connection: Connection, rule: Rule) -> None:
    """Activate a rule, in place of the one of the same kind, scope, version and subject."""
    await connection.execute(
        UPSERT_RULE,
        MAIN_INDEX,
        rule.kind,
        rule.scope,
        rule.version or "",
        rule.subject,
        rule.value,
        rule.reason,
        rule.actor,
        rule.expires_at,
        rule.ticket,
        rule.seconded_by,
    )


async def delete_rule(
    connection: Connection, kind: RuleKind, scope: str, version: str | None, subject: str = ""
) -> bool:
    """Remove a rule. Returns False if it did not exist."""
    done = await connection.execute(DELETE_RULE, MAIN_INDEX, kind, scope, version or "", subject)
    return bool(done != "DELETE 0")


async def select_rules(db: Database, project: str, origin: Origin = Origin.MIRRORED) -> Rules:
    """Return all active rules that cover a project or one of its versions.

    A name that is not known here yet would become a mirrored project.
    """
    return Rules(tuple(read_rule(row) for row in await db.fetch(SELECT_RULES, MAIN_INDEX, project, origin)))


async def select_all_rules(db: Database) -> Rules:
    """Return all active rules, in the order of kind, scope, version and subject."""
    return Rules(tuple(read_rule(row) for row in await db.fetch(SELECT_ALL_RULES, MAIN_INDEX)))


async def select_exceptions(db: Database, until: datetime | None = None) -> list[Rule]:
    """Return the active exceptions, those that expire first at the top; with `until` only those that expire by then.

    A rule of this kind names one file of one release, and its SHA-256.
    """
    return [read_rule(row) for row in await db.fetch(SELECT_EXCEPTIONS, MAIN_INDEX, until)]


async def select_reservations(db: Database) -> list[Reservation]:
    """Return all active reservations."""
    return [Reservation(*row) for row in await db.fetch(SELECT_RESERVATIONS, MAIN_INDEX)]


async def select_project_rules(db: Database, project: str) -> Rules:
    """Return all active rules that cover a project whose origin the caller does not know."""
    return Rules(tuple(read_rule(row) for row in await db.fetch(SELECT_PROJECT_RULES, MAIN_INDEX, project)))


async def lock_policy(connection: Connection) -> None:
    """Make other changes of the whole policy wait until the transaction ends."""
    await connection.execute(LOCK_POLICY, MAIN_INDEX)


async def select_expired(db: Database) -> list[Rule]:
    """Return the expired rules that have not been removed yet."""
    return [read_rule(row) for row in await db.fetch(SELECT_EXPIRED, MAIN_INDEX)]


async def delete_expired(connection: Connection) -> list[Rule]:
    """Remove the expired rules, and return them."""
    return [read_rule(row) for row in await connection.fetch(DELETE_EXPIRED, MAIN_INDEX)]


async def select_seconds_left(db: Database) -> float:
    """Return the seconds until the next rule expires; infinity if none does."""
    left: float | None = await db.fetchval(SELECT_SECONDS_LEFT)
    return math.inf if left is None else left


def read_rules(values: Sequence[dict[str, Any]]) -> Rules:
    """Turn a value of `RULES` into rules."""
    return Rules(tuple(read_rule({**each, "expires_at": read_time(each["expires_at"])}) for each in values))


def read_rule(row: Any) -> Rule:
    """Turn a row of `COLUMNS` into a rule."""
    values = dict(row)
    return Rule(**(values | {"kind": RuleKind(values["kind"]), "version": values["version"] or None}))
