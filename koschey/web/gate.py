"""A layer in front of all routes that passes no request on without a login, if the index is not open to all readers.

Every path is closed, except the health of the process and the paths that check credentials themselves: the panel, the
API and uploads. So a new route is closed by default. pip answers a 401 that has a challenge with a login; a 404 would
send installers to the next index. A token that may not read, or not this project, gets 403.
"""

from collections.abc import Callable
from typing import Any

import structlog
from quart import Response

from koschey.accounts import EVERYWHERE, Account
from koschey.auth.authorization import authorize, may
from koschey.auth.identity import TOKEN_USER, parse_authorization
from koschey.auth.permissions import Action
from koschey.errors import Busy, NotAllowed, TooManyGuesses
from koschey.resources import POSTGRESQL_AWAY, Resources
from koschey.web.asgi import send_response
from koschey.web.errors import problem, problem_of
from koschey.web.read_targets import projects_read
from koschey.web.watched import ClientGone, WatchedReceive

log = structlog.get_logger()

OPEN = ("/legacy", "/legacy/", "/admin")
OPEN_BELOW = ("/_/", "/admin/", "/api/v1/")
CHALLENGE = 'Basic realm="koschey", charset="UTF-8"'


class ReadGate:
    """Requires a login that may read before the application behind it sees a request."""

    def __init__(self, application: Any, resources: Callable[[], Resources]) -> None:
        self._application = application
        self._resources = resources

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._application(scope, receive, send)
            return
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"").decode("latin-1")
        if (parse_authorization(header) or (TOKEN_USER, ""))[0] == TOKEN_USER:
            await self._serve(scope, receive, send, await self._refusal(scope, header))
            return
        # The check of a password may have to wait for its turn. It is dropped if the client has gone by then.
        watched = WatchedReceive(receive)
        try:
            await self._serve(scope, watched, send, await watched.while_there(self._refusal(scope, header)))
        except ClientGone:
            return
        finally:
            watched.close()

    async def _serve(self, scope: Any, receive: Any, send: Any, refusal: Response | None) -> None:
        if refusal is not None:
            await send_response(refusal, scope, send)
        else:
            await self._application(scope, receive, _private(send))

    async def _refusal(self, scope: Any, header: str) -> Response | None:
        """Return the refusal of a request, or None if it may pass."""
        try:
            login = await self._resources().logins.find(header, (scope.get("client") or [None])[0])
            if login is not None:
                await self._authorize(login.identity, scope["path"])
                return None
        except (NotAllowed, TooManyGuesses, Busy) as error:
            return problem_of(error)
        except POSTGRESQL_AWAY as error:
            log.warning("a login cannot be looked up", error=repr(error))
            return problem(503, "A store does not answer", "PostgreSQL does not answer; try again soon")
        response = problem(
            401,
            "Not authenticated",
            "this index requires a login: user '__token__' with a token, or an account with its password",
        )
        response.headers["WWW-Authenticate"] = CHALLENGE
        return response

    async def _authorize(self, identity: Account, path: str) -> None:
        """Raise `NotAllowed` if the identity may not read what is under the path."""
        if may(identity, Action.READ, EVERYWHERE):
            return
        projects = await projects_read(path, self._resources().judged_files)
        for scope in projects or {EVERYWHERE}:
            authorize(identity, Action.READ, scope)


def is_open(path: str) -> bool:
    """Return whether requests for this path pass the gate without a login."""
    return path in OPEN or path.startswith(OPEN_BELOW)


def _private(send: Any) -> Any:
    """Return a `send` that marks answers as private, for caches on the way to the client (RFC 9111, 5.2.2.7)."""

    async def send_private(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (name, b"private, " + value if name == b"cache-control" and not _is_for_one(value) else value)
                for name, value in message["headers"]
            ]
            message = {**message, "headers": headers}
        await send(message)

    return send_private


def _is_for_one(value: bytes) -> bool:
    """Return whether this `Cache-Control` already keeps shared caches from storing the answer."""
    return b"no-store" in value or b"private" in value
