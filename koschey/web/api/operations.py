"""The only way to add an operation to the API: `operation` adds authentication, strict parsing and documentation.

Only the `Authorization` header identifies the caller. Cookies are ignored, and a body must be JSON: a request that
another site's form makes a browser send has no effect here.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from packaging.utils import NormalizedName
from quart import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from koschey.accounts import EVERYWHERE, Account
from koschey.addresses import API
from koschey.auth.authorization import authorize, authorize_overview, authorize_somewhere
from koschey.auth.identity import parse_authorization
from koschey.auth.permissions import Action
from koschey.errors import UsageError
from koschey.model import Actor
from koschey.quarantine.project_files import ProjectDetail
from koschey.standards.names import parse_name
from koschey.web.access import Access, Needed
from koschey.web.access import needs as declare
from koschey.web.api.types import Changed, Input, Tagged
from koschey.web.context import resources
from koschey.web.errors import problem

blueprint = Blueprint("api", __name__, url_prefix=API)

MAX_BODY = 2**16
"""Maximum bytes of a request; the longest reason fits several times."""
JSON = "application/json"
ANYBODY = Account("", None, ())
"""The account of a caller without credentials, for operations that are open to readers."""
TAGGED = (ProjectDetail, Changed, Tagged)
"""Answers with an ETag for a later `If-Match`: the serial of one project, or the tag of a `Tagged`."""


@dataclass(frozen=True, slots=True)
class Call[T: Input]:
    """A parsed request of an account that may make it."""

    account: Account
    path: Mapping[str, str]
    sent: T

    @property
    def actor(self) -> Actor:
        """The actor that the journal names."""
        token = self.account.token
        return Actor(self.account.name, "api", token.id if token else None)

    @property
    def project(self) -> NormalizedName:
        """The project that the path names."""
        return parse_name(self.path["project"])


type Handler[T: Input] = Callable[[Call[T]], Awaitable[msgspec.Struct]]


@dataclass(frozen=True, slots=True)
class Operation:
    """All facts about an operation, for its route and for its documentation."""

    name: str
    about: str
    method: str
    rule: str
    """The path below the prefix of the API."""
    takes: type[Input]
    answers: type[msgspec.Struct]
    needs: Needed
    """`Action.READ` if every client that may read the index may call it, without an account if reading needs none."""
    max_body: int = MAX_BODY
    also: tuple[int, ...] = ()
    """Statuses with which it can be refused, in addition to the usual ones."""
    misses: bool = True
    """Whether a change can name something that does not exist."""
    alters: bool = True
    """Whether it alters what the index serves, if its method is not GET."""
    overview: bool = False
    """Whether it shows all projects, so that a token for some projects may not call it."""

    @property
    def reads_body(self) -> bool:
        """Whether the input is a body, else the query: RFC 9110 gives the body of a DELETE no meaning."""
        return self.method in ("POST", "PUT")

    @property
    def changes(self) -> bool:
        """Whether it changes what the index serves, and therefore accepts `If-Match`."""
        return self.method != "GET" and self.needs is not Action.READ and self.alters

    @property
    def errors(self) -> list[int]:
        """The statuses with which it can be refused."""
        about_project = (404,) if (self.changes and self.misses) or "<project>" in self.rule else ()
        return sorted(
            {400, 401, 429, 503, *about_project, *self.also}
            | (set() if self.needs is Access.LOGIN else {403})
            | ({412} if self.changes else set())
            | ({413, 415} if self.reads_body else set())
        )


OPERATIONS: list[Operation] = []


def operation[T: Input](
    method: str,
    rule: str,
    takes: type[T],
    answers: type[msgspec.Struct],
    *,
    needs: Needed,
    max_body: int = MAX_BODY,
    also: tuple[int, ...] = (),
    misses: bool = True,
    alters: bool = True,
    overview: bool = False,
) -> Callable[[Handler[T]], Handler[T]]:
    """Register a handler. The OpenAPI document contains its name and docstring."""

    def register(handler: Handler[T]) -> Handler[T]:
        name, about = getattr(handler, "__name__", ""), handler.__doc__ or ""
        added = Operation(name, about, method, rule, takes, answers, needs, max_body, also, misses, alters, overview)
        OPERATIONS.append(added)

        async def view(**path: str) -> Response:
            return await _answer(added, takes, handler, path)

        blueprint.add_url_rule(rule, name, declare(needs, overview=overview)(view), methods=[method])
        return handler

    return register


async def _answer[T: Input](
    operation: Operation, takes: type[T], handler: Handler[T], path: Mapping[str, str]
) -> Response:
    account = await _identify(operation)
    if account is None:
        return _request_login()
    _check_permission(account, operation, path)
    sent = await _read_body(takes, operation.max_body) if operation.reads_body else _read_query(takes)
    return _render(await handler(Call(account, path, sent)))


async def _identify(operation: Operation) -> Account | None:
    """Return the account of the caller, or `ANYBODY` if the operation and the index are open and it sent no header.

    Returns None if the credentials are missing or wrong. Raises as `Logins.prove` does.
    """
    header = request.headers.get("Authorization")
    if header is None and operation.needs is Action.READ and resources().settings.anonymous_reading:
        return ANYBODY
    credentials = parse_authorization(header)
    return await resources().logins.prove(credentials, request.remote_addr) if credentials else None


def _request_login() -> Response:
    response = problem(401, "Not authenticated", "send a token: 'Authorization: Bearer kos_...', or Basic credentials")
    response.headers.add("WWW-Authenticate", 'Bearer realm="koschey"')
    response.headers.add("WWW-Authenticate", 'Basic realm="koschey", charset="UTF-8"')
    return response


def _check_permission(account: Account, operation: Operation, path: Mapping[str, str]) -> None:
    """Raise `NotAllowed` before the input is read; the function that makes a change checks the permission again."""
    match operation.needs:
        case Access.OPEN | Access.LOGIN:
            return
        case Access.OWNER:
            if account.token is not None:
                authorize(account, Action.ADMINISTER, EVERYWHERE, EVERYWHERE)
        case Action() as action if "project" in path:
            authorize(account, action, parse_name(path["project"]))
        case Action() as action:
            (authorize_overview if operation.overview else authorize_somewhere)(account, action)


async def _read_body[T: Input](takes: type[T], max_body: int) -> T:
    if request.mimetype != JSON:
        raise UnsupportedMediaType(f"Send the body as {JSON}.")
    if request.args:
        raise UsageError("this operation reads its values from the body, not from the query")
    body = b"" if (request.content_length or 0) > max_body else await request.get_data(cache=False)
    if (request.content_length or len(body)) > max_body:
        raise RequestEntityTooLarge(f"A request may have at most {max_body} bytes.")
    try:
        return msgspec.json.decode(body, type=takes)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UsageError(f"the body does not match this operation: {error}") from None


def _read_query[T: Input](takes: type[T]) -> T:
    given: dict[str, Any] = {name: values[0] for name, values in request.args.lists() if len(values) == 1}
    if len(given) != len(request.args):
        raise UsageError("the query names a value more than once")
    try:
        # A query contains only text; `strict=False` also parses numbers from it.
        return msgspec.convert(given, takes, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"the query does not match this operation: {error}") from None


def _render(answer: msgspec.Struct) -> Response:
    headers = {"Content-Type": JSON, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if isinstance(answer, TAGGED):
        headers["ETag"] = f'"{answer.tag if isinstance(answer, Tagged) else answer.serial}"'
    return Response(msgspec.json.encode(answer), 200, headers)
