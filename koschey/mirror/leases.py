"""Leases allow one fetch at a time for each key, across all processes.

The others wait until the fetch ends or its process has died. A lease is a row that expires. Within a process,
`koschey.concurrency.flights` joins callers that need the same result; the work that it starts holds a lease.
"""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from koschey.concurrency.waiting import cancelled, set_within
from koschey.db.leases import Lease, acquire_lease, release_lease, renew_lease
from koschey.db.pool import Pool
from koschey.errors import Busy

log = structlog.get_logger()

PATIENCE = 25.0
"""Seconds to wait for another fetch before the client is asked to try again; clients give up after 30."""
POLL = 0.5
"""Seconds after which a lease is tried again although no process has notified that it was released."""

type Acquire[T] = Callable[[Pool, str, str, float], Awaitable[T | None]]
"""Tries once to acquire the lease on a key for a holder and so many seconds. Returns None while another has it."""
type Attempt[T] = Callable[[Pool, str, str, float], Awaitable[tuple[T, bool]]]
"""Does the same if a lease is needed. Returns what it has read, and whether it acquired the lease."""


@dataclass(slots=True)
class Holding[T]:
    """A lease that this process holds."""

    lease: Lease
    found: T
    """What the statement that acquired the lease returned."""
    is_released: bool = False
    """Whether a transaction that deleted the lease has committed."""


class Leases:
    """The leases of one process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._holder = str(uuid.uuid4())
        self._held: set[str] = set()
        self._signals = defaultdict[str, set[asyncio.Event]](set)

    @asynccontextmanager
    async def hold(self, key: str, seconds: float, what: str) -> AsyncIterator[None]:
        """Hold the lease on a key, and renew it while the block runs.

        Waits while another task, in this process or another one, holds it. If the holder's process dies, another can
        get the lease after `seconds`. Raises `Busy` if the wait takes longer than `PATIENCE`; its message names
        `what` is being fetched.
        """
        async with self.hold_by(_acquire_alone, key, seconds, what):
            yield

    @asynccontextmanager
    async def hold_by[T](self, acquire: Acquire[T], key: str, seconds: float, what: str) -> AsyncIterator[Holding[T]]:
        """Do as `hold`, with another statement that acquires the lease and reads what its holder needs.

        The block may delete the lease in a transaction of its own, and then sets `is_released`.
        """
        holding = Holding(Lease(key, self._holder), await self._acquire(acquire, key, seconds, what))
        async with self._keep(holding, seconds):
            yield holding

    @asynccontextmanager
    async def hold_if_needed[T](self, attempt: Attempt[T], key: str, seconds: float) -> AsyncIterator[Holding[T]]:
        """Do as `hold_by`, but try only once, with a statement that also decides whether a lease is needed.

        Without a lease the holding is marked as released. The caller has made sure that `is_held` is false.
        """
        self._held.add(key)
        is_acquired = False
        try:
            found, is_acquired = await attempt(self._pool, key, self._holder, seconds)
        finally:
            if not is_acquired:
                self._let_go(key)
        holding = Holding(Lease(key, self._holder), found, is_released=not is_acquired)
        if not is_acquired:
            yield holding
            return
        async with self._keep(holding, seconds):
            yield holding

    def is_held(self, key: str) -> bool:
        """Return whether a task of this process holds a lease, or is about to acquire it."""
        return key in self._held

    def hear(self, key: str, _sender: int = 0) -> None:
        """Wake the tasks that wait for a lease, because its holder has released it."""
        for signal in self._signals.get(key, ()):
            signal.set()

    @asynccontextmanager
    async def _keep(self, holding: Holding[Any], seconds: float) -> AsyncIterator[None]:
        """Renew a lease while the block runs, and release it at its end."""
        renewal: asyncio.Task[None] | None = None

        def begin() -> None:
            nonlocal renewal
            renewal = asyncio.create_task(self._renew(holding.lease.key, seconds))

        # Most blocks end before the first renewal: they need no task.
        timer = asyncio.get_running_loop().call_later(seconds / 3, begin)
        try:
            yield
        finally:
            timer.cancel()
            if renewal is not None:
                await cancelled(renewal)
            await self._release(holding)

    async def _acquire[T](self, acquire: Acquire[T], key: str, seconds: float, what: str) -> T:
        deadline, signal = time.monotonic() + PATIENCE, asyncio.Event()
        self._signals[key].add(signal)
        try:
            while (found := await self._try(acquire, key, seconds)) is None:
                if time.monotonic() > deadline:
                    raise Busy(f"another process is fetching {what}; try again soon")
                await set_within(signal, POLL)
                # Clear before the next try: a notification that arrives during the try must not be lost.
                signal.clear()
            return found
        finally:
            self._signals[key].discard(signal)
            if not self._signals[key]:
                del self._signals[key]

    async def _try[T](self, acquire: Acquire[T], key: str, seconds: float) -> T | None:
        # The database sees all tasks of this process as one holder.
        if key in self._held:
            return None
        self._held.add(key)
        found = None
        try:
            found = await acquire(self._pool, key, self._holder, seconds)
        finally:
            if found is None:
                self._held.discard(key)
        return found

    async def _renew(self, key: str, seconds: float) -> None:
        while True:
            try:
                await renew_lease(self._pool, key, self._holder, seconds)
            except Exception as error:  # noqa: BLE001 - the fetch continues, and the next renewal may succeed
                log.warning("a lease could not be renewed", key=key, error=repr(error))
            await asyncio.sleep(seconds / 3)

    async def _release(self, holding: Holding[Any]) -> None:
        """Release the lease. If PostgreSQL does not answer, the lease expires."""
        key = holding.lease.key
        try:
            if not holding.is_released:
                await release_lease(self._pool, key, self._holder)
        except Exception as error:  # noqa: BLE001 - no caller needs the error, whatever PostgreSQL says
            log.warning("a lease could not be returned", key=key, error=repr(error))
        finally:
            self._let_go(key)

    def _let_go(self, key: str) -> None:
        """Let other tasks of this process acquire a lease."""
        self._held.discard(key)
        self.hear(key)


async def _acquire_alone(pool: Pool, key: str, holder: str, seconds: float) -> bool | None:
    return await acquire_lease(pool, key, holder, seconds) or None
