"""Sessions of people in a browser: rows in PostgreSQL, found by the digest of a random id that only the cookie holds.

An id that no row knows is a visitor's: it opens nothing, but ties the login form to the browser that asked for it,
so that one CSRF rule holds for every form. A login always takes a new id.
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
"""A session that is not used for so long is over."""
LIFETIME = timedelta(days=7)
"""So is one of this age, used or not."""
ID = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in, with the account as it is at this moment."""

    account: Account
    notice: str | None
    """What the last request did; to be shown once."""


def new_id() -> SessionId:
    """Make an id that cannot be guessed."""
    return SessionId(secrets.token_urlsafe(32))


def parse_id(cookie: str | None) -> SessionId | None:
    """Return the id that a cookie holds, or None where it is none."""
    return SessionId(cookie) if cookie and ID.fullmatch(cookie) else None


def csrf_token(session_id: SessionId) -> str:
    """Return what every form of this session carries. Nobody who lacks the cookie can compute it."""
    return hmac.new(session_id.encode(), b"koschey csrf", hashlib.sha256).hexdigest()


def is_csrf_token(session_id: SessionId, text: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(csrf_token(session_id).encode(), text.encode(errors="replace"))


async def open_session(db: Database, account: str, replaced: SessionId | None) -> SessionId:
    """Log in: make a session under a new id, and end the one that the browser had."""
    if replaced is not None:
        await sessions.delete_session(db, _digest(replaced))
    await sessions.delete_expired_sessions(db, IDLE, LIFETIME)
    session_id = new_id()
    await sessions.insert_session(db, _digest(session_id), account)
    return session_id


async def find_session(db: Database, session_id: SessionId) -> Session | None:
    """Return the session while it is in force, and note that it is in use."""
    row = await sessions.touch_session(db, _digest(session_id), IDLE, LIFETIME)
    account = await select_account(db, row.account) if row else None
    return Session(account, row.notice) if row and account else None


async def close_session(db: Database, session_id: SessionId) -> None:
    """Log out: from now on the id is worth nothing, whoever has it."""
    await sessions.delete_session(db, _digest(session_id))


async def leave_notice(db: Database, session_id: SessionId, text: str | None) -> None:
    """Keep a text for the session's next page; None drops it."""
    await sessions.update_notice(db, _digest(session_id), text)


def _digest(session_id: SessionId) -> Sha256:
    return Sha256(hashlib.sha256(session_id.encode()).hexdigest())
