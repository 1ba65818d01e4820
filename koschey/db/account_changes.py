"""Statements that list and change accounts, their groups and their sessions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from koschey.db.pool import Connection, Database

# Changes that may leave no admin wait for each other, so that two of them do not each count the other's admin.
LOCK_ADMINS = "SELECT pg_advisory_xact_lock(hashtextextended('koschey_admins', 0))"
COUNT_ADMINS = """
    SELECT count(*) FROM account
     WHERE disabled_at IS NULL
       AND EXISTS (
            SELECT FROM role_grant
             WHERE role = 'admin' AND scope = '*' AND index_id IS NULL
               AND (role_grant.account_id = account.id
                    OR role_grant.group_name IN
                       (SELECT group_name FROM account_membership WHERE account_id = account.id)))
"""
SHOWN = """
    account.name, account.created_at, account.disabled_at, account.password_hash IS NOT NULL AS has_password,
    ARRAY(SELECT group_name FROM account_membership WHERE account_id = account.id ORDER BY group_name) AS groups,
    (SELECT count(*) FROM token
      WHERE token.account_id = account.id AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > koschey_now())) AS tokens
"""
SELECT_SHOWN_ACCOUNTS = f"SELECT {SHOWN} FROM account WHERE name > $1 ORDER BY name LIMIT $2"  # noqa: S608
SELECT_SHOWN_ACCOUNT = f"SELECT {SHOWN} FROM account WHERE name = $1"  # noqa: S608
LOCK_ACCOUNT = "SELECT id FROM account WHERE name = $1 FOR UPDATE"
INSERT_ACCOUNT = "INSERT INTO account (name, password_hash) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id"
UPDATE_PASSWORD = "UPDATE account SET password_hash = $2 WHERE id = $1"
DISABLE_ACCOUNT = "UPDATE account SET disabled_at = koschey_now() WHERE id = $1 AND disabled_at IS NULL"
ENABLE_ACCOUNT = "UPDATE account SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL"
DELETE_SESSIONS = "DELETE FROM session WHERE account_id = $1"
DELETE_MEMBERSHIPS = "DELETE FROM account_membership WHERE account_id = $1 AND group_name <> ALL ($2::text[])"
INSERT_MEMBERSHIPS = """
    INSERT INTO account_membership (account_id, group_name) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING
"""


class AccountRow(NamedTuple):
    """An account as it is listed."""

    name: str
    created_at: datetime | None
    disabled_at: datetime | None
    has_password: bool
    groups: list[str]
    tokens: int
    """The number of its active tokens."""


async def lock_admins(connection: Connection) -> None:
    """Wait for other changes that may leave no admin. Needs a transaction."""
    await connection.execute(LOCK_ADMINS)


async def count_admins(db: Database) -> int:
    """Return how many accounts that are not disabled have the role admin for everything, by themselves or a group."""
    return int(await db.fetchval(COUNT_ADMINS))


async def select_shown_accounts(db: Database, after: str, limit: int) -> list[AccountRow]:
    """Return accounts in the order of their names, from the first name after this one."""
    return [_read(row) for row in await db.fetch(SELECT_SHOWN_ACCOUNTS, after, limit)]


async def select_shown_account(db: Database, name: str) -> AccountRow | None:
    """Return an account, disabled or not."""
    row = await db.fetchrow(SELECT_SHOWN_ACCOUNT, name)
    return _read(row) if row else None


async def lock_account(connection: Connection, name: str) -> int | None:
    """Lock an account, disabled or not, and return its id; None if there is none."""
    found: int | None = await connection.fetchval(LOCK_ACCOUNT, name)
    return found


async def insert_account(connection: Connection, name: str, password_hash: str | None) -> int | None:
    """Add an account and return its id; None if there is one of that name."""
    added: int | None = await connection.fetchval(INSERT_ACCOUNT, name, password_hash)
    return added


async def update_password(connection: Connection, account: int, password_hash: str | None) -> None:
    """Set the password of an account; None removes it."""
    await connection.execute(UPDATE_PASSWORD, account, password_hash)


async def update_disabled(connection: Connection, account: int, *, disabled: bool) -> bool:
    """Disable or enable an account; return False if it was already so."""
    done = await connection.execute(DISABLE_ACCOUNT if disabled else ENABLE_ACCOUNT, account)
    return bool(done == "UPDATE 1")


async def delete_sessions(connection: Connection, account: int) -> None:
    """End all sessions of an account."""
    await connection.execute(DELETE_SESSIONS, account)


async def update_groups(connection: Connection, account: int, groups: Sequence[str]) -> None:
    """Make an account a member of exactly these groups."""
    await connection.execute(DELETE_MEMBERSHIPS, account, list(groups))
    await connection.execute(INSERT_MEMBERSHIPS, account, list(groups))


def _read(row: Any) -> AccountRow:
    return AccountRow(*row)
