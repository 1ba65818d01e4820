"""Parses the reason that a person gives for a change: one form and one message for every interface."""

import re
from typing import NewType

from koschey.errors import UsageError

MAX_REASON = 2000
"""Characters. People read the journal, and Temporal and webhooks receive whole rows of it."""
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, which PostgreSQL stores in no text, and halves of surrogate pairs, which UTF-8 cannot encode."""

Reason = NewType("Reason", str)
"""A reason that was parsed: 1 to `MAX_REASON` characters without white space around them, all of them storable."""


def parse_reason(text: str) -> Reason:
    """Return the reason without the white space around it. Raises `UsageError` if it is not a valid reason."""
    stripped = text.strip()
    if not 0 < len(stripped) <= MAX_REASON:
        raise UsageError(f"give a reason of 1 to {MAX_REASON} characters; it is stored, and others read it")
    if found := UNSTORABLE.search(stripped):
        raise UsageError(f"give a reason without the character U+{ord(found[0]):04X}, which cannot be stored")
    return Reason(stripped)
