"""Who may read, where not everybody may: a layer in front of all routes, which lets no request past without a login.

Everything is closed but what asks for itself: the panel, the API, uploads, and the health of the process. So a new
route is closed before anybody has thought of it. 401 with a challenge is what pip answers with a login; a 404 would
send installers on to the next index.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog
from quart import Response

from koschey.auth.identity import authenticate, parse_authorization
from koschey.db.pool import LOST, Pool
from koschey.web.errors import problem

log = structlog.get_logger()

OPEN = ("/_/health", "/legacy", "/legacy/", "/admin")
OPEN_BELOW = ("/admin/", "/api/v1/")
BELIEVED = 5.0
"""Seconds for which a login is not looked up again; so long a token that was revoked may still read."""
BELIEVED_AT_MOST = 10_000
CHALLENGE = 'Basic realm="koschey", charset="UTF-8"'


class ReadGate:
    """Asks for a login before the application behind it sees a request."""

    def __init__(self, application: Any, pool: Callable[[], Pool]) -> None:
        self._application = application
        self._pool = pool
        self._believed: OrderedDict[str, float] = OrderedDict()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self._application(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        if refusal is not None:
            await _answer(refusal, scope, send)
            return
        await self._application(scope, receive, _private(send))

    async def _refusal(self, scope: Any) -> Response | None:
        """Return why the request goes no further, or None."""
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"").decode("latin-1")
        try:
            if await self._is_known(header):
                return None
        except LOST as error:
            log.warning("a login cannot be looked up", error=repr(error))
            return problem(503, "A store does not answer", "PostgreSQL is away; try again soon")
        response = problem(
            401, "Not authenticated", "this index is read with a login: a token for '__token__', or a name"
        )
        response.headers["WWW-Authenticate"] = CHALLENGE
        return response

    async def _is_known(self, header: str) -> bool:
        credentials = parse_authorization(header)
        if credentials is None:
            return False
        # Not the secret itself: it need not lie in memory for longer than the request.
        key = hashlib.sha256(header.encode()).hexdigest()
        if self._believed.get(key, 0.0) > time.monotonic():
            return True
        self._believed.pop(key, None)
        if await authenticate(self._pool(), *credentials) is None:
            return False
        self._believed[key] = time.monotonic() + BELIEVED
        if len(self._believed) > BELIEVED_AT_MOST:
            self._believed.popitem(last=False)
        return True


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_BELOW)


def _private(send: Any) -> Any:
    """Tell caches between us and the client that the answer is for this client alone (RFC 9111, 5.2.2.7)."""

    async def send_private(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (name, b"private, " + value if name == b"cache-control" and b"no-store" not in value else value)
                for name, value in message["headers"]
            ]
            message = {**message, "headers": headers}
        await send(message)

    return send_private


async def _answer(response: Response, scope: Any, send: Any) -> None:
    body = bytes(await response.get_data(as_text=False))
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
