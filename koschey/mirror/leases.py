"""One fetch at a time for each key, across all processes: the others wait for its end, or until its process has died.

A lease is a row that ends by itself. Within a process `koschey.concurrency.flights` joins those who want the same; what
it begins holds a lease while it works.
"""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from koschey.concurrency.waiting import cancelled, set_within
from koschey.db.leases import drop_lease, take_lease
from koschey.db.pool import Pool
from koschey.errors import Busy

log = structlog.get_logger()

PATIENCE = 25.0
"""Seconds to wait for another's fetch before the client is sent away to come back; clients give up after 30."""
POLL = 0.5
"""Seconds after which a lease is tried again although nobody said that it was given back."""


class Leases:
    """The leases of one process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._holder = str(uuid.uuid4())
        self._held: set[str] = set()
        self._signals = defaultdict[str, set[asyncio.Event]](set)

    @asynccontextmanager
    async def hold(self, key: str, seconds: float, what: str) -> AsyncIterator[None]:
        """Hold the lease on a key, renewed while the block runs; wait while another holds it, also in this process.

        `seconds` after the death of its process another takes the lease. Raises `Busy` where the wait takes longer
        than `PATIENCE`; `what` is what is being fetched, for its message.
        """
        await self._take(key, seconds, what)
        renewal = asyncio.create_task(self._renew(key, seconds))
        try:
            yield
        finally:
            await cancelled(renewal)
            await self._give_back(key)

    def hear(self, key: str) -> None:
        """Try again for a lease that another process gave back."""
        for signal in self._signals.get(key, ()):
            signal.set()

    async def _take(self, key: str, seconds: float, what: str) -> None:
        deadline, signal = time.monotonic() + PATIENCE, asyncio.Event()
        self._signals[key].add(signal)
        try:
            while not await self._try(key, seconds):
                if time.monotonic() > deadline:
                    raise Busy(f"{what} is being fetched by another process; try again soon")
                await set_within(signal, POLL)
                # Before the next try: what is heard while that is under way must not be lost.
                signal.clear()
        finally:
            self._signals[key].discard(signal)
            if not self._signals[key]:
                del self._signals[key]

    async def _try(self, key: str, seconds: float) -> bool:
        # To the database all tasks of this process are one holder.
        if key in self._held:
            return False
        self._held.add(key)
        is_taken = False
        try:
            is_taken = await take_lease(self._pool, key, self._holder, seconds)
        finally:
            if not is_taken:
                self._held.discard(key)
        return is_taken

    async def _renew(self, key: str, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds / 3)
            try:
                await take_lease(self._pool, key, self._holder, seconds)
            except Exception as error:  # noqa: BLE001 - the fetch goes on, and perhaps the next renewal succeeds
                log.warning("a lease could not be renewed", key=key, error=repr(error))

    async def _give_back(self, key: str) -> None:
        """End the lease. Where PostgreSQL does not answer it ends by itself."""
        try:
            await drop_lease(self._pool, key, self._holder)
        except Exception as error:  # noqa: BLE001 - nobody waits for this, whatever PostgreSQL says
            log.warning("a lease could not be given back", key=key, error=repr(error))
        finally:
            self._held.discard(key)
            self.hear(key)
