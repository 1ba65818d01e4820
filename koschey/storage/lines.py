"""Connections on which objects are streamed: bounded, and never held by a client that does not read.

A stream is as slow as its client, and a client may stop reading. While no other stream waits, a stream keeps its
connection. While one waits, a stream whose client is not reading loses its connection, and a stream whose turn is over
returns it after the current chunk. Both continue later on another connection, from the byte at which they stopped.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

PATIENCE = 0.05
"""Seconds without reading after which a client can lose its line to another."""
TURN = 2.0
"""Seconds for which a stream keeps its line while another waits, even if its client reads fast."""


class Line:
    """The right to use one connection."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.idle_since: float | None = None
        self.is_lost = False
        """Whether another stream has the line now, or gets it after the current chunk."""
        self.close: Callable[[], None] = lambda: None
        """Closes the connection."""

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Mark the time in which the stream waits for its client rather than for the bucket."""
        self.idle_since = time.monotonic()
        try:
            yield
        finally:
            self.idle_since = None


class Lines:
    """All lines to one bucket. One per process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[Line] = set()
        self._turns = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def count(self) -> int:
        """The number of lines in use."""
        return len(self._open)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Line]:
        """Wait for a line and use it. Streams get lines in the order of their requests."""
        async with self._turns:
            while len(self._open) >= self._limit:
                await self._make_room()
            line = Line()
            self._open.add(line)
        try:
            yield line
        finally:
            self._release(line)

    async def _make_room(self) -> None:
        """Take a line away from its stream, or wait a moment for one."""
        now = time.monotonic()
        idle = min((line for line in self._open if line.idle_since is not None), key=_idle_since, default=None)
        if idle is not None and now - _idle_since(idle) >= PATIENCE:
            idle.is_lost = True
            idle.close()
            self._release(idle)
            return
        oldest = min(self._open, key=lambda line: line.since)
        if now - oldest.since >= TURN and not any(line.is_lost for line in self._open):
            oldest.is_lost = True
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), PATIENCE)

    def _release(self, line: Line) -> None:
        self._open.discard(line)
        self._changed.set()


def _idle_since(line: Line) -> float:
    assert line.idle_since is not None
    return line.idle_since
