"""Reads credentials from a header, and finds the account of a token. `koschey.auth.logins` checks passwords."""

import base64

from koschey.accounts import Account
from koschey.auth.tokens import parse_token, proves
from koschey.db.accounts import select_identity, select_token
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
    """Return the account of an active token, with the limits of the token; None if the token proves nothing."""
    parts = parse_token(token)
    found = await select_token(db, parts.id) if parts else None
    if parts is None or found is None or not proves(parts.secret, found[1]):
        return None
    identity = await select_identity(db, found[0], parts.id)
    # It may have been revoked between the two statements.
    return identity if identity is not None and identity.token is not None else None
