"""Reads credentials from a header, and finds the account of a token. `koschey.auth.logins` checks passwords."""

import base64

from koschey.accounts import Account
from koschey.auth.tokens import parse_token, proves
from koschey.db.accounts import select_account, select_token
from koschey.db.pool import Database

TOKEN_USER = "__token__"


def parse_authorization(header: str | None) -> tuple[str, str] | None:
    """Read user and password from an `Authorization` header. A bearer token becomes the password of `__token__`."""
    scheme, _, value = (header or "").strip().partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return TOKEN_USER, value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        user, separator, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:  # not base64, or not text in it
        return None
    # No account's name contains a NUL, and PostgreSQL does not accept one.
    return (user.strip(), password.strip()) if separator and "\0" not in user else None


async def authenticate_token(db: Database, token: str) -> Account | None:
    """Return the account of an active token, or None."""
    parts = parse_token(token)
    found = await select_token(db, parts.id) if parts else None
    if parts is None or found is None or not proves(parts.secret, found[1]):
        return None
    return await select_account(db, found[0])
