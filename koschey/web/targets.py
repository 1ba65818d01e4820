"""The request target (RFC 9112, section 3.2). The edge parses it once, and refuses a target that is not a path.

Behind the edge, every path is Unicode without control characters, and the length of its segments is bounded. So no
handler, log line or SQL statement gets a NUL, half a character or a number of thousands of digits from a path.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from koschey.errors import UsageError

MAX_SEGMENT = 1000
"""Maximum characters between two slashes; the longest meaningful segments are filenames, of 250."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
ABSOLUTE = ("http://", "https://")


class Target(NamedTuple):
    """The target of a request."""

    path: str
    """Decoded, beginning with a slash."""
    authority: str | None
    """The host that an absolute-form target names; it overrules the `Host` header (RFC 9112, section 3.2.2)."""


def read_target(scope: Any) -> Target:
    """Return the target of an ASGI scope. Raises `UsageError` if it is not a path.

    If the server itself resolves the absolute form, the authority is None.
    """
    path, authority = scope["path"], None
    if not path.startswith("/") and path.lower().startswith(ABSOLUTE):
        try:
            parts = urlsplit(path)
        except ValueError:
            raise UsageError("the request names a URL that cannot be read; send a path such as /simple/") from None
        path, authority = parts.path or "/", parts.netloc
    if not path.startswith("/"):
        raise UsageError("the request names no path; send one such as /simple/")
    _check_path(path, scope.get("raw_path"))
    return Target(path, authority)


def _check_path(path: str, raw: bytes | None) -> None:
    # The cheap test first, because it runs for each request: nearly every path passes it.
    if not (path.isascii() and path.isprintable()):
        if CONTROL.search(path):
            raise UsageError("the path contains a control character; leave it out")
        if not _is_utf8(path, raw):
            raise UsageError("the path is not UTF-8; encode it as UTF-8, then percent-encode it")
    if raw is not None and b"%" in raw and BROKEN_ESCAPE.search(raw):
        raise UsageError("the path contains a '%' that is not followed by two hexadecimal digits; write it as %25")
    if len(path) > MAX_SEGMENT and max(map(len, path.split("/"))) > MAX_SEGMENT:
        raise UsageError(f"a part of the path is longer than {MAX_SEGMENT} characters; no name here is as long")


def _is_utf8(path: str, raw: bytes | None) -> bool:
    """Return whether a path is UTF-8.

    Servers replace bytes that they cannot decode by U+FFFD; only the raw path tells that from a real U+FFFD.
    """
    if raw is None:
        return "\ufffd" not in path
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return False
    return True
