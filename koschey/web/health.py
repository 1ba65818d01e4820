"""Health of this process, for load balancers and supervisors. No path below `/_/` needs a login or a certain host.

`/_/live` depends on no other service, so a supervisor that restarts a process when it fails never restarts all
processes because of an outage elsewhere. `/_/ready` fails while this process cannot serve. `/_/health` is older than
`/_/ready`, and checks PostgreSQL alone.
"""

from datetime import timedelta
from typing import Any

import msgspec
from quart import Blueprint, Response

from koschey.serving.readiness import ages_of
from koschey.web.access import Access, needs
from koschey.web.context import resources
from koschey.web.errors import RETRY_AFTER

blueprint = Blueprint("health", __name__)


@blueprint.get("/_/live")
@needs(Access.OPEN)
async def live() -> Response:
    """Answer 200 while this process answers requests at all."""
    return _answer(200, {"status": "live"})


@blueprint.get("/_/ready")
@needs(Access.OPEN)
async def ready() -> Response:
    """Answer 200 while PostgreSQL answers and this process hears of every commit; only report all other facts."""
    found = await resources().readiness.check()
    stores = {"postgresql": found.is_ready, "listener": found.listener, "bucket": found.bucket}
    status = "ready" if found.is_ready else "not ready"
    return _answer(200 if found.is_ready else 503, {"status": status, **stores, **_seconds(ages_of(found.pulse))})


@blueprint.get("/_/health")
@needs(Access.OPEN)
async def health() -> Response:
    """Answer 200 while PostgreSQL answers; Temporal is not needed to serve."""
    pulse = await resources().readiness.pulse()
    return _answer(200, {"status": "ok", **_seconds(ages_of(pulse))})


def _seconds(ages: dict[str, timedelta | None]) -> dict[str, float | None]:
    """Return ages in seconds; null if there is no time to count from."""
    return {name: None if age is None else round(age.total_seconds(), 1) for name, age in ages.items()}


def _answer(status: int, body: dict[str, Any]) -> Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER)
    return Response(msgspec.json.encode(body), status, headers)
