"""Reads a download ahead while what has arrived is written, hashed and sent on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from koschey.concurrency.waiting import cancelled, set_within

READ_AHEAD = 4 * 2**20
"""Bytes after which no more are read until the caller takes them."""
BATCH = 2**20
"""Bytes that are worth a step of the caller."""
PATIENCE = 0.02
"""Seconds to wait for so many; a slow download is passed on as it arrives."""


class ReadAhead:
    """Chunks that have arrived and that the caller has not taken."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._pending: list[bytes] = []
        self._size = 0
        self._arrived, self._enough, self._taken = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def batches(self) -> AsyncGenerator[list[bytes]]:
        """Yield all chunks in their order, each time all that have arrived. Raises what reading them raises.

        The first batch is passed on at once, for a quick first byte.
        """
        reading = asyncio.create_task(self._read())
        reading.add_done_callback(lambda _: self._end())
        is_first = True
        try:
            while self._pending or not reading.done():
                await self._arrived.wait()
                if not is_first:
                    await set_within(self._enough, PATIENCE)
                is_first = False
                if not reading.done():
                    self._arrived.clear()
                    self._enough.clear()
                batch, self._pending, self._size = self._pending, [], 0
                self._taken.set()
                if batch:
                    yield batch
            await reading
        finally:
            await cancelled(reading)

    def _end(self) -> None:
        self._arrived.set()
        self._enough.set()

    async def _read(self) -> None:
        async for chunk in self._chunks:
            self._pending.append(chunk)
            self._size += len(chunk)
            self._arrived.set()
            if self._size >= BATCH:
                self._enough.set()
            if self._size >= READ_AHEAD:
                self._taken.clear()
                await self._taken.wait()
