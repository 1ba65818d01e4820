"""Statements on `session`: who is logged in to the panel. The key of a session is the digest of its id."""

from datetime import timedelta
from typing import NamedTuple

from koschey.db.pool import Database
from koschey.model import Sha256

INSERT_SESSION = """
    INSERT INTO session (id_sha256, account_id)
    SELECT $1, id FROM account WHERE name = $2 AND disabled_at IS NULL
"""
TOUCH_SESSION = """
    UPDATE session SET seen_at = koschey_now()
      FROM account
     WHERE session.id_sha256 = $1
       AND account.id = session.account_id AND account.disabled_at IS NULL
       AND session.seen_at > koschey_now() - $2::interval
       AND session.created_at > koschey_now() - $3::interval
    RETURNING account.name, session.notice
"""
UPDATE_NOTICE = "UPDATE session SET notice = $2 WHERE id_sha256 = $1"
DELETE_SESSION = "DELETE FROM session WHERE id_sha256 = $1"
DELETE_EXPIRED_SESSIONS = """
    DELETE FROM session
     WHERE seen_at <= koschey_now() - $1::interval OR created_at <= koschey_now() - $2::interval
"""


class SessionRow(NamedTuple):
    """An active session."""

    account: str
    notice: str | None


async def insert_session(db: Database, digest: Sha256, account: str) -> None:
    """Add a session of an account."""
    await db.execute(INSERT_SESSION, digest, account)


async def touch_session(db: Database, digest: Sha256, idle: timedelta, lifetime: timedelta) -> SessionRow | None:
    """Record that a session is in use and return it; None if it does not exist or has expired."""
    row = await db.fetchrow(TOUCH_SESSION, digest, idle, lifetime)
    return SessionRow(row["name"], row["notice"]) if row else None


async def update_notice(db: Database, digest: Sha256, notice: str | None) -> None:
    """Store a text for the session's next page, or remove it."""
    await db.execute(UPDATE_NOTICE, digest, notice)


async def delete_session(db: Database, digest: Sha256) -> None:
    """End a session."""
    await db.execute(DELETE_SESSION, digest)


async def delete_expired_sessions(db: Database, idle: timedelta, lifetime: timedelta) -> None:
    """Delete the rows of expired sessions."""
    await db.execute(DELETE_EXPIRED_SESSIONS, idle, lifetime)
