"""Every redirect of the index: to a path on the same host, whatever host the request claims to be for.

A `Location` made from the `Host` header would let somebody choose where others are sent to, by way of a cache.
"""

from urllib.parse import urlsplit

from quart import Response, request

from koschey.web.context import resources


def moved(path: str) -> Response:
    """Permanent, as on the public index: the normalised form of a name never changes. The query is kept."""
    return moved_here(resources().addresses.here(path))


def moved_here(path: str) -> Response:
    """Do as `moved`, with a path that begins with that of the public address, as `url_for` makes it."""
    return _to(path, 301, request.query_string.decode("latin-1"))


def sent_on(path: str) -> Response:
    """For now: what is asked for is there at this moment, and nobody may remember that."""
    response = _to(resources().addresses.here(path), 302)
    response.headers["Cache-Control"] = "no-store"
    return response


def without_host(url: str, status: int) -> Response:
    """As a router wants it, but to the path of its URL alone."""
    parts = urlsplit(url)
    # Two slashes at the beginning would name a host again.
    return _to("/" + parts.path.lstrip("/"), status, parts.query)


def _to(path: str, status: int, query: str = "") -> Response:
    return Response(b"", status, {"Location": f"{path}?{query}" if query else path})
