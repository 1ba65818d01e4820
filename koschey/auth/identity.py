"""Which account a header or a token names. Passwords are checked by `koschey.auth.logins`."""

import base64

from koschey.accounts import Account
from koschey.auth.tokens import parse_token, proves
from koschey.db.accounts import select_account, select_token
from koschey.db.pool import Database

TOKEN_USER = "__token__"


def parse_authorization(header: str | None) -> tuple[str, str] | None:
    """Read user and password from an `Authorization` header; a bearer token is the password of `__token__`."""
    scheme, _, value = (header or "").strip().partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return TOKEN_USER, value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        user, separator, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:  # no base64, or no text in it
        return None
    # No account's name holds a NUL, and PostgreSQL takes none.
    return (user.strip(), password.strip()) if separator and "\0" not in user else None


async def authenticate_token(db: Database, token: str) -> Account | None:
    """Return the account whose token this is, or None."""
    parts = parse_token(token)
    found = await select_token(db, parts.id) if parts else None
    if parts is None or found is None or not proves(parts.secret, found[1]):
        return None
    return await select_account(db, found[0])
