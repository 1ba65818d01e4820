"""API tokens: opaque, found by a public id, verified by the digest of a secret, shown once.

`kos_<id>_<secret>`: the prefix lets secret scanners find a leaked token. A secret of 256 bits needs no slow hash.
"""

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

PREFIX = "kos"
TOKEN = re.compile(r"kos_([A-Za-z0-9]{12})_([A-Za-z0-9_-]{43})")
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class TokenParts(NamedTuple):
    """The two parts of a token."""

    id: str
    secret: str


def new_token() -> str:
    """Return a new random token."""
    public = "".join(secrets.choice(ALPHABET) for _ in range(12))
    return f"{PREFIX}_{public}_{secrets.token_urlsafe(32)}"


def parse_token(text: str) -> TokenParts | None:
    """Return the parts of a token, or None if the text is not a token."""
    match = TOKEN.fullmatch(text.strip())
    return TokenParts(match[1], match[2]) if match else None


def digest_secret(secret: str) -> str:
    """Return the digest of a token's secret, as it is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def proves(secret: str, stored: str) -> bool:
    """Return whether the secret has the stored digest. Compares in constant time."""
    return hmac.compare_digest(digest_secret(secret), stored)
