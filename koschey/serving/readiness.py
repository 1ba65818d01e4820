"""Checks whether a web process can serve, and whether the background work continues."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from koschey.db.listen import Listener
from koschey.db.pool import LOST, Pool
from koschey.db.pulse import Pulse, select_pulse
from koschey.errors import StoreUnavailable
from koschey.storage.s3 import Bucket

PATIENCE = 2.0
"""Seconds within which PostgreSQL and the bucket must answer; a probe waits little longer."""
LATE: set[asyncio.Task[Any]] = set()
"""Queries that are being cancelled. The set keeps a reference, because a task without one may vanish."""


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Which stores answered a process in time."""

    listener: bool
    """Whether the process is notified of every commit."""
    bucket: bool
    pulse: Pulse | None
    """None if PostgreSQL did not answer, or if the process is not listening."""

    @property
    def is_ready(self) -> bool:
        """Whether the process can serve: PostgreSQL answers, and the process is notified of every commit."""
        return self.pulse is not None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Queries PostgreSQL and the bucket. One per process."""

    pool: Pool
    bucket: Bucket
    listener: Listener

    async def check(self) -> ReadinessReport:
        """Query PostgreSQL and the bucket; wait for each at most `PATIENCE` seconds."""
        listener = self.listener.is_listening
        bucket = asyncio.create_task(_within(self.bucket.check()))
        # A query to a server that hangs keeps a connection of the pool; the listener notices that within seconds.
        pulse = await _within(select_pulse(self.pool)) if listener else None
        return ReadinessReport(listener, bool(await bucket), pulse)

    async def pulse(self) -> Pulse:
        """Return how long ago the background work was last seen. Raises asyncpg's errors while PostgreSQL is away."""
        return await select_pulse(self.pool)


def ages_of(pulse: Pulse | None) -> dict[str, timedelta | None]:
    """Return how long ago each part of the background work was last seen, or None if it is unknown."""
    return {
        "outbox_age": pulse.outbox_age if pulse else None,
        "worker_seen": pulse.worker_seen if pulse else None,
        "temporal_seen": pulse.temporal_seen if pulse else None,
    }


async def _within[T](question: Coroutine[Any, Any, T]) -> T | None:
    """Return the answer to a query, or None if the store is unavailable or takes longer than `PATIENCE` seconds.

    A late query is cancelled without waiting for its end: asyncpg sends the cancellation to the server, and waits.
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
        task.exception()  # the error was reported as None
