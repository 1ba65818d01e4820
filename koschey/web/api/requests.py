"""Preflights of locks, and requests for releases. Every client that may read may send both; reviewers list requests."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field
from quart import request

from koschey.auth.permissions import Action
from koschey.policy.availability import MAX_PINS, Availability, Explanation, Pin
from koschey.quarantine import attention
from koschey.quarantine.attention import OpenRequest
from koschey.quarantine.requests import record_request, requester_name
from koschey.standards.names import parse_name
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Input, Name, Nothing, Reason, Version
from koschey.web.context import resources

MAX_LOCK = 2**20
"""Maximum bytes of a list of pins."""

type Digest = Annotated[str, Meta(pattern="^[a-z0-9_]{1,32}:[0-9a-f]{1,256}$", description="As in `sha256:<hex>`.")]


class NewPin(Input, frozen=True, kw_only=True):
    """A release that a lock names. With digests, every file that has one of them must be served."""

    name: Name
    version: Version
    hashes: list[Digest] = field(default_factory=list)


class NewPreflight(Input, frozen=True, kw_only=True):
    """A lock."""

    pins: Annotated[list[NewPin], Meta(max_length=MAX_PINS)]


class CheckedPin(Struct, frozen=True, kw_only=True):
    """The result for one pin."""

    project: str
    version: str
    state: Availability
    reason: str
    release_at: datetime | None
    free: str | None
    request: str | None


class Preflight(Struct, frozen=True, kw_only=True):
    """The results for all pins, in the order of the lock."""

    pins: list[CheckedPin]


class NewRequest(Input, frozen=True, kw_only=True):
    """A request for a release that is held or blocked."""

    project: Name
    version: Version
    reason: Reason


class Requested(Struct, frozen=True, kw_only=True):
    """A recorded request."""

    project: str
    version: str
    who: str
    times: int
    state: Availability
    release_at: datetime | None


class OpenRequests(Struct, frozen=True, kw_only=True):
    """Open requests, the latest first."""

    requests: list[OpenRequest]


@operation("POST", "/preflight", NewPreflight, Preflight, needs=Action.READ, overview=True, max_body=MAX_LOCK)
async def check_lock(call: Call[NewPreflight]) -> Preflight:
    """Return for each pin of a lock whether it is served, until when it is held, and which older version is served."""
    pins = [Pin(parse_name(pin.name), pin.version, tuple(pin.hashes)) for pin in call.sent.pins]
    return Preflight(pins=[_show(explanation) for explanation in await resources().preflight.check(pins)])


@operation("POST", "/requests", NewRequest, Requested, needs=Action.READ, overview=True, also=(404, 429))
async def request_release(call: Call[NewRequest]) -> Requested:
    """Request a release that is held or blocked."""
    sent, who = call.sent, requester_name(call.account.name or None, request.remote_addr)
    window = resources().settings.window
    recorded = await record_request(resources().pool, parse_name(sent.project), sent.version, who, sent.reason, window)
    explanation = recorded.explanation
    return Requested(
        project=explanation.project,
        version=explanation.version,
        who=recorded.who,
        times=recorded.times,
        state=explanation.state,
        release_at=explanation.release_at,
    )


@operation("GET", "/requests", Nothing, OpenRequests, needs=Action.AUDIT, overview=True)
async def read_requests(_: Call[Nothing]) -> OpenRequests:
    """Return open requests for releases, and who made them."""
    return OpenRequests(requests=await attention.read_requests(resources().pool))


def _show(explanation: Explanation) -> CheckedPin:
    return CheckedPin(
        project=explanation.project,
        version=explanation.version,
        state=explanation.state,
        reason=explanation.reason,
        release_at=explanation.release_at,
        free=explanation.free,
        request=explanation.request,
    )
