"""Statements on `account`, `role_grant`, `account_membership` and `token` that find who a client is."""

from collections.abc import Sequence
from typing import Any

from koschey.accounts import Account, Grant, TokenRights
from koschey.db.pool import Connection, Database

# A grant belongs to an account or to a group. Two queries, because PostgreSQL would read all grants for one with OR.
WHO = """
    account.id, account.name, account.password_hash,
    ARRAY(SELECT group_name FROM account_membership WHERE account_id = account.id ORDER BY group_name) AS groups,
    ARRAY(
        SELECT ARRAY[role, scope, coalesce(index.name, '*')]
          FROM role_grant LEFT JOIN index ON index.id = role_grant.index_id
         WHERE role_grant.account_id = account.id
        UNION
        SELECT ARRAY[role, scope, coalesce(index.name, '*')]
          FROM account_membership
          JOIN role_grant ON role_grant.group_name = account_membership.group_name
          LEFT JOIN index ON index.id = role_grant.index_id
         WHERE account_membership.account_id = account.id
         ORDER BY 1
    ) AS grants
"""
IS_ACTIVE_TOKEN = "token.revoked_at IS NULL AND (token.expires_at IS NULL OR token.expires_at > koschey_now())"
SELECT_ACCOUNT = f"SELECT {WHO} FROM account WHERE account.name = $1 AND account.disabled_at IS NULL"  # noqa: S608
SELECT_ACCOUNTS = f"""
    SELECT {WHO} FROM account WHERE account.name = ANY($1::text[]) AND account.disabled_at IS NULL
"""  # noqa: S608
SELECT_IDENTITY = f"""
    SELECT {WHO}, token.id AS token, token.actions, token.scopes, coalesce(token_index.name, '*') AS token_index
      FROM account
      LEFT JOIN token ON token.id = $2 AND token.account_id = account.id AND {IS_ACTIVE_TOKEN}
      LEFT JOIN index AS token_index ON token_index.id = token.index_id
     WHERE account.name = $1 AND account.disabled_at IS NULL
"""  # noqa: S608
SELECT_TOKEN = f"""
    SELECT account.name, token.secret_sha256
      FROM token JOIN account ON account.id = token.account_id
     WHERE token.id = $1 AND account.disabled_at IS NULL AND {IS_ACTIVE_TOKEN}
"""  # noqa: S608
UPSERT_ACCOUNT = """
    INSERT INTO account (name, password_hash) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET password_hash = coalesce(account.password_hash, excluded.password_hash)
    RETURNING id
"""
# The name of an index that does not exist grants nothing; it must not become NULL, which means all indexes.
INDEX = "(SELECT NULL::smallint AS id WHERE $4 = '*' UNION ALL SELECT id FROM index WHERE name = $4)"
INSERT_GRANT = f"""
    INSERT INTO role_grant (account_id, role, scope, index_id, granted_by)
    SELECT $1, $2, $3, chosen.id, $5 FROM {INDEX} AS chosen
    ON CONFLICT DO NOTHING
"""  # noqa: S608
INSERT_TOKEN = """
    INSERT INTO token (id, account_id, secret_sha256, description) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
UPSERT_TOKEN = """
    INSERT INTO token (id, account_id, secret_sha256, description) VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id
     WHERE token.secret_sha256 = excluded.secret_sha256
"""


async def select_account(db: Database, name: str) -> Account | None:
    """Return the account of that name with its current grants and groups."""
    row = await db.fetchrow(SELECT_ACCOUNT, name)
    return _read(row) if row else None


async def select_accounts(db: Database, names: Sequence[str]) -> list[Account]:
    """Return the accounts of those names, each with its current grants and groups."""
    return [_read(row) for row in await db.fetch(SELECT_ACCOUNTS, names)]


async def select_identity(db: Database, name: str, token: str | None) -> Account | None:
    """Return the account of that name, with this token if it is an active one of the account."""
    row = await db.fetchrow(SELECT_IDENTITY, name, token)
    return _read(row, _token(row)) if row else None


async def select_token(db: Database, token: str) -> tuple[str, str] | None:
    """Return the owner's name and the digest of the secret of an active token."""
    row = await db.fetchrow(SELECT_TOKEN, token)
    return (row["name"], row["secret_sha256"]) if row else None


async def upsert_account(connection: Connection, name: str, password_hash: str | None) -> int:
    """Add an account, or return the one that exists; its password is not changed."""
    return int(await connection.fetchval(UPSERT_ACCOUNT, name, password_hash))


async def insert_grant(
    connection: Connection,
    account: int,
    role: str,
    scope: str = "*",
    index: str = "*",
    granted_by: str = "system",
) -> None:
    """Grant a role to an account, for `*` or a scope in an index or in `*`. An existing grant is not changed."""
    await connection.execute(INSERT_GRANT, account, role, scope, index, granted_by)


async def insert_token(connection: Connection, token: str, account: int, digest: str, description: str) -> None:
    """Add a token with all rights of its owner. An existing one is not changed."""
    await connection.execute(INSERT_TOKEN, token, account, digest, description)


async def upsert_token(connection: Connection, token: str, account: int, digest: str, description: str) -> None:
    """Add a token, or assign the existing one with this secret to the account. A revoked token stays revoked."""
    await connection.execute(UPSERT_TOKEN, token, account, digest, description)


def _read(row: Any, token: TokenRights | None = None) -> Account:
    grants = tuple(Grant(role, scope, index) for role, scope, index in row["grants"])
    return Account(row["name"], row["password_hash"], grants, tuple(row["groups"]), token)


def _token(row: Any) -> TokenRights | None:
    if row["token"] is None:
        return None
    actions, scopes = row["actions"], row["scopes"]
    return TokenRights(
        row["token"],
        None if actions is None else frozenset(actions),
        None if scopes is None else tuple(scopes),
        row["token_index"],
    )
