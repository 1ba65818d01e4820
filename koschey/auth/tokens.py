"""API tokens: opaque, found by a public id, verified by the digest of a secret, shown once.

`kos_<id>_<secret>_<checksum>`. The prefix lets secret scanners find a leaked token, and the checksum lets them know it
from other texts without asking this index: it is the CRC-32 (ISO 3309, as in zip) of all that stands before its
underscore, in base 62 with six digits. A secret of 256 bits needs no slow hash. Tokens of earlier versions have no
checksum.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import NamedTuple

PREFIX = "kos"
CHECKED_LENGTH = len("kos__") + 12 + 43
"""Characters of a token before the underscore of its checksum."""
TOKEN = re.compile(r"kos_([A-Za-z0-9]{12})_([A-Za-z0-9_-]{43})(?:_([A-Za-z0-9]{6}))?")
ALPHABET = string.ascii_letters + string.digits
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""The digits of base 62, in their order."""


class TokenParts(NamedTuple):
    """The two parts of a token."""

    id: str
    secret: str


def new_token() -> str:
    """Return a new random token."""
    public = "".join(secrets.choice(ALPHABET) for _ in range(12))
    checked = f"{PREFIX}_{public}_{secrets.token_urlsafe(32)}"
    return f"{checked}_{checksum(checked)}"


def parse_token(text: str) -> TokenParts | None:
    """Return the parts of a token, or None if the text is not a token: also if it has another checksum."""
    text = text.strip()
    match = TOKEN.fullmatch(text)
    if match is None or match[3] not in (None, checksum(text[:CHECKED_LENGTH])):
        return None
    return TokenParts(match[1], match[2])


def checksum(checked: str) -> str:
    """Return the checksum of the first part of a token."""
    number, digits = zlib.crc32(checked.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    return digits


def digest_secret(secret: str) -> str:
    """Return the digest of a token's secret, as it is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def proves(secret: str, stored: str) -> bool:
    """Return whether the secret has the stored digest. Compares in constant time."""
    return hmac.compare_digest(digest_secret(secret), stored)
