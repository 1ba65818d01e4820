"""How long caches may keep files, their core metadata and their records (RFC 9111, 5.2.2).

The bytes behind a URL never change, so a client may keep them as long as it likes. But a cache that many clients share
would serve a file even after it was blocked or recalled. Such a cache may keep files only if the operator allows it,
and must revalidate them after a time that the operator chose.
"""

from koschey.settings import Settings

YEAR = 31_536_000
"""Seconds of 365 days."""


def immutable(settings: Settings) -> str:
    """Return the `Cache-Control` of files, core metadata and records."""
    shared = settings.shared_caching_seconds
    # If reading needs a login, the next client behind the same cache may not read what this one may.
    if not shared or not settings.anonymous_reading:
        return f"private, max-age={YEAR}, immutable"
    # A shared cache uses `s-maxage` instead of `max-age`, and must revalidate once it has passed.
    return f"public, max-age={YEAR}, s-maxage={shared}, immutable"
