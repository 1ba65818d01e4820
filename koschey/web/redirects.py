"""All redirects of the index: to a path on the same host, whatever host the request names.

With a `Location` made from the `Host` header, an attacker could redirect other clients through a shared cache.
"""

from urllib.parse import urlsplit

from quart import Response, request

from koschey.web.context import resources


def moved(path: str) -> Response:
    """Redirect permanently, as the public index does: the normalised form of a name never changes. Keeps the query."""
    return moved_here(resources().addresses.here(path))


def moved_here(path: str) -> Response:
    """Redirect as `moved` does, to a path that starts with that of the public URL, as `url_for` makes it."""
    return _to(path, 301, request.query_string.decode("latin-1"))


def sent_on(path: str) -> Response:
    """Redirect temporarily: no client or cache may store the answer, because it is valid only at this moment."""
    response = _to(resources().addresses.here(path), 302)
    response.headers["Cache-Control"] = "no-store"
    return response


def without_host(url: str, status: int) -> Response:
    """Redirect as a router would, but only to the path and the query of its URL."""
    parts = urlsplit(url)
    # Two slashes at the beginning would name a host again.
    return _to("/" + parts.path.lstrip("/"), status, parts.query)


def _to(path: str, status: int, query: str = "") -> Response:
    return Response(b"", status, {"Location": f"{path}?{query}" if query else path})
