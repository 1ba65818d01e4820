"""Statements that list and change grants."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from koschey.accounts import Grant
from koschey.db.pool import Connection, Database

SHOWN_GRANT = """
    role_grant.id, account.name AS account, role_grant.group_name, role_grant.role, role_grant.scope,
    coalesce(index.name, '*') AS index_name, role_grant.granted_at, role_grant.granted_by
"""
GRANTS = """
    role_grant LEFT JOIN account ON account.id = role_grant.account_id LEFT JOIN index ON index.id = role_grant.index_id
"""
SELECT_GRANTS = f"""
    SELECT {SHOWN_GRANT} FROM {GRANTS}
     WHERE ($1::text IS NULL OR account.name = $1) AND ($2::text IS NULL OR role_grant.group_name = $2)
       AND role_grant.id > $3
     ORDER BY role_grant.id LIMIT $4
"""  # noqa: S608
SELECT_GRANT = f"SELECT {SHOWN_GRANT} FROM {GRANTS} WHERE role_grant.id = $1"  # noqa: S608
SELECT_GROUP_GRANTS = f"""
    SELECT {SHOWN_GRANT} FROM {GRANTS} WHERE role_grant.group_name = ANY($1::text[]) ORDER BY role_grant.id
"""  # noqa: S608
SELECT_INDEX = "SELECT id FROM index WHERE name = $1"
INSERT_NEW_GRANT = """
    INSERT INTO role_grant (account_id, group_name, role, scope, index_id, granted_by)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id
"""
SELECT_GRANT_OF = """
    SELECT id FROM role_grant
     WHERE account_id IS NOT DISTINCT FROM $1 AND group_name IS NOT DISTINCT FROM $2 AND role = $3 AND scope = $4
       AND index_id IS NOT DISTINCT FROM $5
"""
DELETE_GRANT = "DELETE FROM role_grant WHERE id = $1"


class GrantRow(NamedTuple):
    """A grant: to an account or to a group."""

    id: int
    account: str | None
    group: str | None
    role: str
    scope: str
    index_name: str
    """The name of an index, or `*` for all."""
    granted_at: datetime
    granted_by: str

    @property
    def grant(self) -> Grant:
        """What it grants."""
        return Grant(self.role, self.scope, self.index_name)


class NewGrant(NamedTuple):
    """A grant to be added or removed; one of account and group is None."""

    account: int | None
    group: str | None
    role: str
    scope: str
    index_id: int | None
    """None for all indexes."""


async def select_grants(
    db: Database, account: str | None, group: str | None, *, after: int, limit: int
) -> list[GrantRow]:
    """Return grants in the order in which they were made: all, or those of an account or a group."""
    return [GrantRow(*row) for row in await db.fetch(SELECT_GRANTS, account, group, after, limit)]


async def select_grant(db: Database, grant: int) -> GrantRow | None:
    """Return a grant by its id."""
    row = await db.fetchrow(SELECT_GRANT, grant)
    return GrantRow(*row) if row else None


async def select_group_grants(db: Database, groups: Sequence[str]) -> list[GrantRow]:
    """Return what is granted to any of the groups."""
    return [GrantRow(*row) for row in await db.fetch(SELECT_GROUP_GRANTS, list(groups))]


async def select_index(db: Database, name: str) -> int | None:
    """Return the id of an index; None if there is none of that name."""
    found: int | None = await db.fetchval(SELECT_INDEX, name)
    return found


async def insert_new_grant(connection: Connection, new: NewGrant, granted_by: str) -> int | None:
    """Add a grant and return its id; None if it exists."""
    added: int | None = await connection.fetchval(INSERT_NEW_GRANT, *new, granted_by)
    return added


async def select_grant_of(db: Database, wanted: NewGrant) -> int | None:
    """Return the id of exactly this grant; None if it does not exist."""
    found: int | None = await db.fetchval(SELECT_GRANT_OF, *wanted)
    return found


async def delete_grant(connection: Connection, grant: int) -> None:
    """Remove a grant."""
    await connection.execute(DELETE_GRANT, grant)
