"""Whether a web process can serve, and whether the work behind it goes on."""

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
"""Seconds in which a store must answer; a probe waits little longer."""
LATE: set[asyncio.Task[Any]] = set()
"""Questions that are being cancelled; a task that nothing refers to may vanish."""


@dataclass(frozen=True, slots=True)
class Report:
    """Which stores answered a process in time."""

    listener: bool
    """Whether the process hears of every commit."""
    bucket: bool
    pulse: Pulse | None
    """None where PostgreSQL did not answer, or the process does not listen."""

    @property
    def is_ready(self) -> bool:
        """Whether the process can serve: PostgreSQL answers, and the process hears of every commit."""
        return self.pulse is not None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Asks the stores. One per process."""

    pool: Pool
    bucket: Bucket
    listener: Listener

    async def check(self) -> Report:
        """Ask every store, and wait for none that hangs."""
        listener = self.listener.is_listening
        bucket = asyncio.create_task(_within(self.bucket.check()))
        # A question to a server that hangs keeps a connection of the pool; the listener notices that within seconds.
        pulse = await _within(select_pulse(self.pool)) if listener else None
        return Report(listener, bool(await bucket), pulse)

    async def pulse(self) -> Pulse:
        """Return how old the work behind is. Raises what asyncpg raises while PostgreSQL is away."""
        return await select_pulse(self.pool)


def ages_of(pulse: Pulse | None) -> dict[str, timedelta | None]:
    """Return how long ago each part of the work behind was seen; None where there is nothing to count from."""
    return {
        "outbox_age": pulse.outbox_age if pulse else None,
        "worker_seen": pulse.worker_seen if pulse else None,
        "temporal_seen": pulse.temporal_seen if pulse else None,
    }


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
