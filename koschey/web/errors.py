"""Turns errors into answers: one table from error classes to statuses, one body for programs and people (RFC 9457)."""

import json

import structlog
from quart import Quart, Response
from werkzeug.exceptions import HTTPException

from koschey.errors import (
    Busy,
    Damaged,
    EgressRefused,
    KoscheyError,
    Misdirected,
    NotAllowed,
    NotKnown,
    Stale,
    StoreRefused,
    StoreUnavailable,
    TooManyGuesses,
    TooManyRequests,
    Unconfirmed,
    UpstreamMalformed,
    UpstreamMissing,
    UpstreamUnavailable,
    UsageError,
)
from koschey.resources import POSTGRESQL_AWAY, POSTGRESQL_SLOW
from koschey.texts import on_one_line

log = structlog.get_logger()

PERMANENT = 424
"""Failed Dependency (RFC 4918, section 11.4): the upstream is at fault, and a retry soon changes nothing.

pip retries up to five times after 500, 502 and 503, and uv after every 5xx; then pip prints "too many 502 error
responses", and neither prints a reason. Neither retries after 424, and uv prints the reason of a page. 403 is not used:
uv interprets it as missing credentials, and prints no reason either. An error that may pass stays 503.
"""

STATUSES: dict[type[KoscheyError], tuple[int, str]] = {
    NotKnown: (404, "Not found here"),
    NotAllowed: (403, "Not allowed"),
    Misdirected: (421, "Misdirected request"),
    Stale: (412, "Changed in the meantime"),
    Unconfirmed: (428, "Confirmation needed"),
    TooManyRequests: (429, "Too many requests"),
    UsageError: (400, "Bad request"),
    UpstreamMissing: (404, "The upstream has no such project or file"),
    UpstreamMalformed: (PERMANENT, "The upstream cannot be trusted"),
    UpstreamUnavailable: (503, "The upstream does not answer"),
    EgressRefused: (PERMANENT, "The upstream points to a forbidden address"),
    StoreUnavailable: (503, "A store does not answer"),
    StoreRefused: (503, "The bucket refuses this index"),
    Damaged: (503, "The bucket has lost or altered this object"),
    Busy: (503, "Try again soon"),
}
RETRY_AFTER = 5
"""Seconds after which a client may retry a request that failed with 503."""


def problem(status: int, title: str, detail: str, **extensions: object) -> Response:
    """Return `application/problem+json`. A header repeats the text, for clients that discard the body.

    Title and detail are cleaned: uv prints them on the user's terminal.
    """
    title, detail = on_one_line(title), on_one_line(detail)
    body = {"type": "about:blank", "status": status, "title": title, "detail": detail, **extensions}
    headers = {
        "Content-Type": "application/problem+json",
        "Cache-Control": "no-store",
        "X-Error-Message": _one_line(f"{title}: {detail}"),
        "X-Content-Type-Options": "nosniff",
    }
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER)
    return Response(json.dumps(body), status, headers)


def problem_of(error: KoscheyError) -> Response:
    """Return the answer to a request that failed with this error."""
    status, title = status_of(error)
    if isinstance(error, Unconfirmed):
        remedy = f'; to carry it out all the same, send "confirm": {error.counts["files"]}'
        return problem(status, title, str(error) + remedy, **error.counts, confirm=error.counts["files"])
    response = problem(status, title, str(error))
    if isinstance(error, TooManyGuesses):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def status_of(error: KoscheyError) -> tuple[int, str]:
    """Return the status of an error and its title."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), (500, "Internal error"))


def register(app: Quart) -> None:
    """Turn every error of a handler into an answer."""

    @app.errorhandler(KoscheyError)
    async def koschey_error(error: KoscheyError) -> Response:
        if isinstance(error, StoreUnavailable):
            log.warning("a store failed", error=str(error), kind=type(error).__name__)
        return problem_of(error)

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        response = problem(error.code or 500, error.name, error.description or error.name)
        response.headers.extend(dict(error.get_headers()) if error.code in (405, 416) else {})
        response.headers["Content-Type"] = "application/problem+json"
        return response

    for lost in (*POSTGRESQL_AWAY, OSError):
        app.register_error_handler(lost, _store_error)
    for slow in POSTGRESQL_SLOW:
        app.register_error_handler(slow, _slow_error)


TOO_SLOW = "PostgreSQL did not finish in time; the same request would take as long again, so request less at once"
STORES_AWAY = "PostgreSQL, the bucket or the spool folder cannot be used now; try again soon"


async def _store_error(error: Exception) -> Response:
    log.warning("a store does not answer", error=repr(error))
    return problem(503, "A store does not answer", STORES_AWAY)


async def _slow_error(error: Exception) -> Response:
    log.warning("a statement took too long", error=repr(error))
    return problem(503, "The answer takes too long", TOO_SLOW)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() and letter.isascii() else " " for letter in text)[:500]
