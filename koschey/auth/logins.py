"""Who sent a request, remembered for a few seconds, so that a login is not looked up for every file."""

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass

from koschey.auth.identity import TOKEN_USER, authenticate, parse_authorization
from koschey.auth.tokens import parse_token
from koschey.db.pool import Pool

REMEMBERED = 5.0
"""Seconds for which a login is not looked up again; so long a token that was revoked may still read."""
REMEMBERED_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Login:
    """An account, and the public id of the token that proved it, if it was one."""

    account: str
    token: str | None


class Logins:
    """One per process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._remembered: OrderedDict[str, tuple[float, Login]] = OrderedDict()

    async def find(self, header: str | None) -> Login | None:
        """Return who the `Authorization` header proves; None where it proves nobody, or is none."""
        credentials = parse_authorization(header)
        if header is None or credentials is None:
            return None
        # Not the secret itself: it need not lie in memory for longer than the request.
        key = hashlib.sha256(header.encode()).hexdigest()
        until, login = self._remembered.get(key, (0.0, None))
        if login is not None and until > time.monotonic():
            return login
        self._remembered.pop(key, None)
        account = await authenticate(self._pool, *credentials)
        if account is None:
            return None
        found = Login(account.name, _token_id(*credentials))
        self._remembered[key] = (time.monotonic() + REMEMBERED, found)
        if len(self._remembered) > REMEMBERED_AT_MOST:
            self._remembered.popitem(last=False)
        return found


def _token_id(user: str, password: str) -> str | None:
    parts = parse_token(password) if user == TOKEN_USER else None
    return parts.id if parts else None
