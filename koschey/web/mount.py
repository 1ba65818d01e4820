"""The path of a route in a request to an index that is reached under a path of its own, such as `/pypi`.

Some proxies pass that path on, others take it away; nothing in a request tells which. So the reading counts that is a
route: `/pypi/simple/six/` is a page behind a proxy that passes the path on, and `/pypi/six/json` is the JSON API behind
one that took it away. Only below `/pypi` both can be routes; there the first reading counts.
"""

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, RequestRedirect


class Mount:
    """Finds the path below the public address."""

    def __init__(self, prefix: str, routes: Map) -> None:
        self._prefix = prefix
        self._routes = routes.bind("")

    def inner(self, path: str, method: str) -> str:
        """Return the path of a route that a request names."""
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
