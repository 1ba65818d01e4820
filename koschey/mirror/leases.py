"""Leases allow one fetch at a time for each key, across all processes.

The others wait until the fetch ends or its process has died. A lease is a row that expires. Within a process,
`koschey.concurrency.flights` joins callers that need the same result; the work that it starts holds a lease.
"""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from koschey.concurrency.waiting import cancelled, set_within
from koschey.db.leases import acquire_lease, release_lease
from koschey.db.pool import Pool
from koschey.errors import Busy

log = structlog.get_logger()

PATIENCE = 25.0
"""Seconds to wait for another fetch before the client is asked to try again; clients give up after 30."""
POLL = 0.5
"""Seconds after which a lease is tried again although no process has notified that it was released."""


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
        await self._acquire(key, seconds, what)
        renewal = asyncio.create_task(self._renew(key, seconds))
        try:
            yield
        finally:
            await cancelled(renewal)
            await self._release(key)

    def hear(self, key: str) -> None:
        """Wake the tasks that wait for a lease, because its holder has released it."""
        for signal in self._signals.get(key, ()):
            signal.set()

    async def _acquire(self, key: str, seconds: float, what: str) -> None:
        deadline, signal = time.monotonic() + PATIENCE, asyncio.Event()
        self._signals[key].add(signal)
        try:
            while not await self._try(key, seconds):
                if time.monotonic() > deadline:
                    raise Busy(f"another process is fetching {what}; try again soon")
                await set_within(signal, POLL)
                # Clear before the next try: a notification that arrives during the try must not be lost.
                signal.clear()
        finally:
            self._signals[key].discard(signal)
            if not self._signals[key]:
                del self._signals[key]

    async def _try(self, key: str, seconds: float) -> bool:
        # The database sees all tasks of this process as one holder.
        if key in self._held:
            return False
        self._held.add(key)
        is_acquired = False
        try:
            is_acquired = await acquire_lease(self._pool, key, self._holder, seconds)
        finally:
            if not is_acquired:
                self._held.discard(key)
        return is_acquired

    async def _renew(self, key: str, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds / 3)
            try:
                await acquire_lease(self._pool, key, self._holder, seconds)
            except Exception as error:  # noqa: BLE001 - the fetch continues, and the next renewal may succeed
                log.warning("a lease could not be renewed", key=key, error=repr(error))

    async def _release(self, key: str) -> None:
        """Release the lease. If PostgreSQL does not answer, the lease expires."""
        try:
            await release_lease(self._pool, key, self._holder)
        except Exception as error:  # noqa: BLE001 - no caller needs the error, whatever PostgreSQL says
            log.warning("a lease could not be returned", key=key, error=repr(error))
        finally:
            self._held.discard(key)
            self.hear(key)
