"""Statements that the rules for uploads need: `upload_switch`, and the search for names that look alike."""

from datetime import datetime
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database
from koschey.model import MAIN_INDEX, Actor

SELECT_SWITCHES = """
    SELECT upload_switch.name, upload_switch.enabled, upload_switch.reason, upload_switch.actor, upload_switch.at
      FROM upload_switch JOIN index ON index.id = upload_switch.index_id
     WHERE index.name = $1
     ORDER BY upload_switch.name
"""
UPSERT_SWITCH = """
    INSERT INTO upload_switch (index_id, name, enabled, reason, actor)
    SELECT id, $2, $3, $4, $5 FROM index WHERE name = $1
    ON CONFLICT (index_id, name)
    DO UPDATE SET enabled = excluded.enabled, reason = excluded.reason, actor = excluded.actor, at = koschey_now()
"""
SELECT_LOOKALIKE = """
    SELECT name FROM project
     WHERE translate(name, 'lio-', '110') = translate($1::text, 'lio-', '110') AND name <> $1
     ORDER BY name LIMIT 1
"""
SELECT_LOOKALIKE_LOCK = "SELECT pg_advisory_xact_lock(hashtext('koschey ' || translate($1::text, 'lio-', '110')))"


class Switch(NamedTuple):
    """An upload rule that an admin has switched on or off."""

    name: str
    enabled: bool
    reason: str
    actor: str
    at: datetime


async def select_switches(db: Database) -> dict[str, Switch]:
    """Return the switched rules by their names."""
    return {row["name"]: Switch(*row) for row in await db.fetch(SELECT_SWITCHES, MAIN_INDEX)}


async def upsert_switch(connection: Connection, name: str, reason: str, actor: Actor, *, enabled: bool) -> None:
    """Switch a rule on or off. The caller writes the journal in the same transaction."""
    await connection.execute(UPSERT_SWITCH, MAIN_INDEX, name, enabled, reason, actor.name)


async def select_lookalike(db: Database, name: NormalizedName) -> NormalizedName | None:
    """Return a known project whose name people could confuse with this one."""
    found: NormalizedName | None = await db.fetchval(SELECT_LOOKALIKE, name)
    return found


async def lock_lookalikes(connection: Connection, name: NormalizedName) -> None:
    """Make transactions that would add a name that looks like this one wait until this transaction ends."""
    await connection.fetchval(SELECT_LOOKALIKE_LOCK, name)
