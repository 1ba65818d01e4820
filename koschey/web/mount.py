"""Finds the route of a request to an index whose public URL has a path of its own, such as `/pypi`.

Some proxies pass that path on, others remove it, and a request does not say which. So Koschey chooses the
interpretation that is a route: `/pypi/simple/six/` is a page behind a proxy that passes the path on, and
`/pypi/six/json` is the JSON API behind a proxy that removed it. Only below `/pypi` can both be routes; there the first
interpretation counts.
"""

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, RequestRedirect


class Mount:
    """Finds the path below the public URL."""

    def __init__(self, prefix: str, routes: Map) -> None:
        self._prefix = prefix
        self._routes = routes.bind("")

    def inner(self, path: str, method: str) -> str:
        """Return the path of the route that a request means."""
        if not self._prefix or not (path == self._prefix or path.startswith(f"{self._prefix}/")):
            return path
        below = path.removeprefix(self._prefix) or "/"
        return path if not self._is_route(below, method) and self._is_route(path, method) else below

    def _is_route(self, path: str, method: str) -> bool:
        try:
            self._routes.match(path, method)
        except RequestRedirect:
            return True
        except HTTPException:
            return False
        return True
