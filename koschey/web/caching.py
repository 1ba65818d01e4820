"""How long caches may keep files and what stands beside them (RFC 9111, 5.2.2).

The bytes behind a URL never change, so a client keeps them as long as it likes. But a cache that many clients share
goes on serving a file after it was blocked or recalled: it keeps files only where the operator allows that, and then
asks again after a time that the operator chose.
"""

from koschey.settings import Settings

YEAR = 31_536_000
"""Seconds."""


def immutable(settings: Settings) -> str:
    """Return the `Cache-Control` of files, core metadata and records."""
    shared = settings.shared_caching_seconds
    # Where reading needs a login, what one client may read is not for the next one behind the same cache.
    if not shared or not settings.anonymous_reading:
        return f"private, max-age={YEAR}, immutable"
    # A shared cache takes `s-maxage` for `max-age`, and must ask again once it is over.
    return f"public, max-age={YEAR}, s-maxage={shared}, immutable"
