"""The edge: the layer that checks a request before any other layer reads it.

Behind it the target is a path, the host is one of ours, and a prefix that a proxy left in the path is removed.
"""

from typing import Any

from quart import Response

from koschey.errors import UsageError
from koschey.web.asgi import send_response
from koschey.web.errors import problem, problem_of
from koschey.web.misdirected import OwnHosts
from koschey.web.mount import Mount
from koschey.web.targets import read_target

METHODS = "GET, HEAD, POST, PUT, DELETE"
"""The methods of all routes together."""


class Edge:
    """Passes a request on with the path of a route, or answers it with an error."""

    def __init__(self, application: Any, hosts: OwnHosts, mount: Mount) -> None:
        self.application = application
        self._hosts = hosts
        self._mount = mount

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "websocket":
            # No route uses WebSocket; the server answers 403.
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] == "http":
            try:
                read = self._read(scope)
            except UsageError as error:
                read = problem_of(error)
            if isinstance(read, Response):
                await send_response(read, scope, send)
                return
            scope = read
        await self.application(scope, receive, send)

    def _read(self, scope: Any) -> Any:
        """Return the scope for the application, or an error as an answer. Raises `UsageError`."""
        if scope["path"] == "*":
            # RFC 9110, section 9.3.7: `*` means the whole server. The target of CONNECT is not a path either: 400.
            response = problem(405, "Method not allowed", f"this index accepts {METHODS}, each with a path")
            response.headers["Allow"] = METHODS
            return response
        target = read_target(scope)
        path = self._mount.inner(target.path, scope["method"])
        named = [value for name, value in scope["headers"] if name == b"host"]
        self._hosts.check(named, target.authority, scope["http_version"], path)
        return scope if path == scope["path"] else {**scope, "path": path}
