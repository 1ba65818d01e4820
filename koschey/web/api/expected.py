"""Optimistic concurrency: a change can name the serial or tag that its author saw, and is refused if that is old."""

import re

from quart import request

from koschey.errors import UsageError
from koschey.model import Serial

TAG = re.compile(r'"([0-9]{1,18})"', re.ASCII)


def read_expected() -> Serial | None:
    """Return the number in `If-Match` (RFC 9110, 13.1.1), or None. Raises `UsageError` for any other value."""
    header = request.headers.get("If-Match")
    if header is None:
        return None
    match = TAG.fullmatch(header.strip())
    if match is None:
        raise UsageError('If-Match must be one serial in quotes, as in the ETag of an earlier answer: "123"')
    return Serial(int(match[1]))
