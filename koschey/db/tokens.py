"""Statements that list, add and revoke tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from koschey.db.accounts import IS_ACTIVE_TOKEN
from koschey.db.pool import Connection, Database

SHOWN_TOKEN = f"""
    token.id, account.name AS account, token.description, token.actions, token.scopes,
    coalesce(index.name, '*') AS index_name, token.created_at, token.created_by, token.expires_at, token.revoked_at,
    token.last_used_at, token.last_used_from, {IS_ACTIVE_TOKEN} AND account.disabled_at IS NULL AS is_active
"""
TOKENS = "token JOIN account ON account.id = token.account_id LEFT JOIN index ON index.id = token.index_id"
SELECT_TOKENS = f"""
    SELECT {SHOWN_TOKEN} FROM {TOKENS}
     WHERE ($1::text IS NULL OR account.name = $1) AND ($2 OR token.revoked_at IS NULL) AND token.id > $3
     ORDER BY token.id LIMIT $4
"""  # noqa: S608
SELECT_SHOWN_TOKEN = f"SELECT {SHOWN_TOKEN} FROM {TOKENS} WHERE token.id = $1"  # noqa: S608
COUNT_TOKENS = f"SELECT count(*) FROM token WHERE account_id = $1 AND {IS_ACTIVE_TOKEN}"  # noqa: S608
INSERT_NEW_TOKEN = """
    INSERT INTO token (id, account_id, secret_sha256, description, actions, scopes, index_id, expires_at, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
REVOKE_TOKEN = "UPDATE token SET revoked_at = koschey_now() WHERE id = $1 AND revoked_at IS NULL"


class TokenRow(NamedTuple):
    """A token as it is listed; nothing of its secret."""

    id: str
    account: str
    name: str
    actions: list[str] | None
    scopes: list[str] | None
    index_name: str
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None
    is_active: bool


class NewTokenRow(NamedTuple):
    """A token to be added."""

    id: str
    account: int
    secret_sha256: str
    name: str
    actions: Sequence[str]
    scopes: Sequence[str] | None
    index_id: int | None
    expires_at: datetime | None
    created_by: str


async def select_tokens(db: Database, account: str | None, *, revoked: bool, after: str, limit: int) -> list[TokenRow]:
    """Return tokens in the order of their ids, of all accounts or of one; revoked ones too if that is wanted."""
    return [_read(row) for row in await db.fetch(SELECT_TOKENS, account, revoked, after, limit)]


async def select_shown_token(db: Database, token: str) -> TokenRow | None:
    """Return a token by its id."""
    row = await db.fetchrow(SELECT_SHOWN_TOKEN, token)
    return _read(row) if row else None


async def count_tokens(db: Database, account: int) -> int:
    """Return the number of active tokens of an account."""
    return int(await db.fetchval(COUNT_TOKENS, account))


async def insert_new_token(connection: Connection, new: NewTokenRow) -> None:
    """Add a token."""
    scopes = None if new.scopes is None else list(new.scopes)
    await connection.execute(INSERT_NEW_TOKEN, *new._replace(actions=list(new.actions), scopes=scopes))


async def update_revoked(connection: Connection, token: str) -> bool:
    """Revoke a token; return False if it was revoked before."""
    return bool(await connection.execute(REVOKE_TOKEN, token) == "UPDATE 1")


def _read(row: Any) -> TokenRow:
    return TokenRow(*row)
