"""Sessions of browsers: rows in PostgreSQL, found by the digest of a random id that only the cookie contains.

A visitor's id has no row. It gives no access, but ties the login form to the browser that requested it, so that one
CSRF rule covers every form. A login always creates a new id.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import NewType

from koschey.accounts import Account
from koschey.db import sessions
from koschey.db.accounts import select_account
from koschey.db.pool import Database
from koschey.model import Sha256

SessionId = NewType("SessionId", str)
"""32 random bytes in URL-safe base64."""

IDLE = timedelta(hours=12)
"""A session expires if it is not used for this time."""
LIFETIME = timedelta(days=7)
"""A session of this age expires, even if it is used."""
ID = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Session:
    """An active session, with the current data of its account."""

    account: Account
    notice: str | None
    """What the last request did; shown once."""


def new_id() -> SessionId:
    """Return a new random id of 256 bits."""
    return SessionId(secrets.token_urlsafe(32))


def parse_id(cookie: str | None) -> SessionId | None:
    """Return the id in a cookie, or None if it does not contain one."""
    return SessionId(cookie) if cookie and ID.fullmatch(cookie) else None


def csrf_token(session_id: SessionId) -> str:
    """Return the token that every form of this session contains. Nobody can compute it without the cookie."""
    return hmac.new(session_id.encode(), b"koschey csrf", hashlib.sha256).hexdigest()


def is_csrf_token(session_id: SessionId, text: str) -> bool:
    """Return whether the text is the CSRF token of the session. Compares in constant time."""
    return hmac.compare_digest(csrf_token(session_id).encode(), text.encode(errors="replace"))


async def open_session(db: Database, account: str, replaced: SessionId | None) -> SessionId:
    """Log in: create a session with a new id, and end the one that the browser had."""
    if replaced is not None:
        await sessions.delete_session(db, _digest(replaced))
    await sessions.delete_expired_sessions(db, IDLE, LIFETIME)
    session_id = new_id()
    await sessions.insert_session(db, _digest(session_id), account)
    return session_id


async def find_session(db: Database, session_id: SessionId) -> Session | None:
    """Return a session if it is active, and record that it is in use."""
    row = await sessions.touch_session(db, _digest(session_id), IDLE, LIFETIME)
    account = await select_account(db, row.account) if row else None
    return Session(account, row.notice) if row and account else None


async def close_session(db: Database, session_id: SessionId) -> None:
    """Log out: from now on the id gives no access to any client."""
    await sessions.delete_session(db, _digest(session_id))


async def leave_notice(db: Database, session_id: SessionId, text: str | None) -> None:
    """Store a text for the session's next page; None removes it."""
    await sessions.update_notice(db, _digest(session_id), text)


def _digest(session_id: SessionId) -> Sha256:
    return Sha256(hashlib.sha256(session_id.encode()).hexdigest())
