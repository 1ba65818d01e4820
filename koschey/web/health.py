"""Whether this process works, for load balancers and supervisors. No path below `/_/` asks for a login or a host.

`/_/live` asks nobody: a supervisor that restarts what fails here never restarts all processes for an outage elsewhere.
`/_/ready` fails while this process cannot serve. `/_/health` is the older of the two, for PostgreSQL alone.
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import msgspec
from quart import Blueprint, Response

from koschey.db.pool import LOST
from koschey.db.pulse import Pulse, select_pulse
from koschey.errors import StoreUnavailable
from koschey.web.context import resources
from koschey.web.errors import RETRY_AFTER

blueprint = Blueprint("health", __name__)

PATIENCE = 2.0
"""Seconds in which a store must answer; a probe waits little longer."""
LATE: set[asyncio.Task[Any]] = set()
"""Questions that are being cancelled; a task that nothing refers to may vanish."""


@blueprint.get("/_/live")
async def live() -> Response:
    """200 while this process answers requests at all."""
    return _answer(200, {"status": "live"})


@blueprint.get("/_/ready")
async def ready() -> Response:
    """200 while PostgreSQL answers and this process hears of every commit; all else is reported and changes nothing."""
    listener = resources().listener.is_listening
    bucket = asyncio.create_task(_within(resources().bucket.check()))
    # A question to a server that hangs keeps a connection of the pool; the listener notices that within seconds.
    pulse = await _within(select_pulse(resources().pool)) if listener else None
    is_ready = pulse is not None
    report = {"postgresql": pulse is not None, "listener": listener, "bucket": bool(await bucket), **_show(pulse)}
    return _answer(200 if is_ready else 503, {"status": "ready" if is_ready else "not ready", **report})


@blueprint.get("/_/health")
async def health() -> Response:
    """200 while PostgreSQL answers; Temporal is not needed to serve."""
    return _answer(200, {"status": "ok", **_show(await select_pulse(resources().pool))})


async def _within[T](question: Coroutine[Any, Any, T]) -> T | None:
    """Return the answer of a store; None where it does not answer, or not in time.

    A question that is late is cancelled, and not waited for: asyncpg tells the server of a cancellation, and waits.
    """
    task = asyncio.create_task(question)
    if not (await asyncio.wait({task}, timeout=PATIENCE))[0]:
        task.cancel()
        LATE.add(task)
        task.add_done_callback(_forget)
        return None
    try:
        return task.result()
    except (*LOST, StoreUnavailable):
        return None


def _forget(task: asyncio.Task[Any]) -> None:
    LATE.discard(task)
    if not task.cancelled():
        task.exception()  # it was reported as no answer


def _show(pulse: Pulse | None) -> dict[str, float | None]:
    """Return what is reported of the work behind, in seconds; null where there is nothing to count from."""
    return {
        "outbox_age": _seconds(pulse.outbox_age) if pulse else None,
        "worker_seen": _seconds(pulse.worker_seen) if pulse else None,
        "temporal_seen": _seconds(pulse.temporal_seen) if pulse else None,
    }


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 1)


def _answer(status: int, body: dict[str, Any]) -> Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER)
    return Response(msgspec.json.encode(body), status, headers)
