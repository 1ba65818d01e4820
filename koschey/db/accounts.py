"""Statements on `account`, `account_grant` and `token`."""

from collections.abc import Sequence
from typing import Any

from koschey.accounts import Account, Grant
from koschey.db.pool import Connection, Database

SELECT_ACCOUNT = """
    SELECT account.id, account.name, account.password_hash,
           coalesce(array_agg(ARRAY[role, scope]) FILTER (WHERE role IS NOT NULL), '{}') AS grants
      FROM account LEFT JOIN account_grant ON account_grant.account_id = account.id
     WHERE account.name = $1 AND account.disabled_at IS NULL
     GROUP BY account.id
"""
SELECT_ACCOUNTS = """
    SELECT account.id, account.name, account.password_hash,
           coalesce(array_agg(ARRAY[role, scope]) FILTER (WHERE role IS NOT NULL), '{}') AS grants
      FROM account LEFT JOIN account_grant ON account_grant.account_id = account.id
     WHERE account.name = ANY($1::text[]) AND account.disabled_at IS NULL
     GROUP BY account.id
"""
SELECT_TOKEN = """
    SELECT account.name, token.secret_sha256
      FROM token JOIN account ON account.id = token.account_id
     WHERE token.id = $1 AND token.revoked_at IS NULL AND account.disabled_at IS NULL
       AND (token.expires_at IS NULL OR token.expires_at > koschey_now())
"""
UPSERT_ACCOUNT = """
    INSERT INTO account (name, password_hash) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET password_hash = coalesce(account.password_hash, excluded.password_hash)
    RETURNING id
"""
INSERT_GRANT = "INSERT INTO account_grant (account_id, role, scope) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
INSERT_TOKEN = """
    INSERT INTO token (id, account_id, secret_sha256, description) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
UPSERT_TOKEN = """
    INSERT INTO token (id, account_id, secret_sha256, description) VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id
     WHERE token.secret_sha256 = excluded.secret_sha256
"""


async def select_account(db: Database, name: str) -> Account | None:
    """Return the account of that name with its current grants."""
    row = await db.fetchrow(SELECT_ACCOUNT, name)
    return _read(row) if row else None


async def select_accounts(db: Database, names: Sequence[str]) -> list[Account]:
    """Return the accounts of those names, each with its current grants."""
    return [_read(row) for row in await db.fetch(SELECT_ACCOUNTS, names)]


async def select_token(db: Database, token: str) -> tuple[str, str] | None:
    """Return the owner's name and the digest of the secret of an active token."""
    row = await db.fetchrow(SELECT_TOKEN, token)
    return (row["name"], row["secret_sha256"]) if row else None


async def upsert_account(connection: Connection, name: str, password_hash: str | None) -> int:
    """Add an account, or return the one that exists; its password is not changed."""
    return int(await connection.fetchval(UPSERT_ACCOUNT, name, password_hash))


async def insert_grant(connection: Connection, account: int, role: str, scope: str = "*") -> None:
    """Grant a role."""
    await connection.execute(INSERT_GRANT, account, role, scope)


async def insert_token(connection: Connection, token: str, account: int, digest: str, description: str) -> None:
    """Add a token. An existing one is not changed."""
    await connection.execute(INSERT_TOKEN, token, account, digest, description)


async def upsert_token(connection: Connection, token: str, account: int, digest: str, description: str) -> None:
    """Add a token, or assign the existing one with this secret to the account. A revoked token stays revoked."""
    await connection.execute(UPSERT_TOKEN, token, account, digest, description)


def _read(row: Any) -> Account:
    return Account(row["name"], row["password_hash"], tuple(Grant(role, scope) for role, scope in row["grants"]))
