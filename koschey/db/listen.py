"""Hearing what other processes committed: LISTEN on a connection of its own.

What a process remembers is true only while it hears of every commit, and a connection can fall silent without an
error: a stalled network, a host that was paused. So the listener asks PostgreSQL for a sign of life several times a
second, and is trusted only for `TRUST` after it *sent* the last one that was answered. All that was committed before
that moment had been heard when the answer came, for PostgreSQL answers on the connection on which it notifies.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from koschey.db.pool import connect

HEARTBEAT = 0.2
"""Seconds between signs of life."""
TRUST = 0.9
"""Seconds for which an answered sign of life counts, from when it was sent. With the time that an answer takes to leave
this process, a block is in force everywhere one second after its commit, whatever happens to the connection."""
PATIENCE = 5.0
"""Seconds without an answer after which the connection is given up. It was not trusted for most of them."""


class Listener:
    """Calls back for every notification on its channels.

    `on_lost` is called when the connection is lost, and when a new one listens: whatever is remembered from before may
    be old. While the connection only stalls, nothing is lost: what was committed meanwhile is heard before it is
    trusted again.
    """

    def __init__(
        self,
        url: str,
        channels: Mapping[str, Callable[[str], None]],
        *,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._channels = channels
        self._on_lost = on_lost
        self._trusted_until = 0.0
        self.is_listening = False

    @property
    def is_trusted(self) -> bool:
        """Whether all that was committed more than `TRUST` seconds ago has been heard."""
        # The monotonic clock goes on while a process is stopped, so one that wakes up trusts nothing at first.
        return time.monotonic() < self._trusted_until

    async def run(self) -> None:
        """Listen until cancelled or until the connection is lost. Raises what asyncpg raises."""
        try:
            connection = await connect(self._url)
            try:
                await self._listen(connection)
            finally:
                connection.terminate()
        finally:
            self._trusted_until, self.is_listening = 0.0, False
            self._on_lost()

    async def _listen(self, connection: Any) -> None:
        for channel in self._channels:
            await connection.add_listener(channel, self._hear)
        # What was committed before this moment was not heard.
        self._on_lost()
        self.is_listening = True
        while True:
            sent = time.monotonic()
            await connection.fetchval("SELECT 1", timeout=PATIENCE)
            self._trusted_until = sent + TRUST
            await asyncio.sleep(HEARTBEAT)

    def _hear(self, _connection: Any, _pid: int, channel: str, payload: str) -> None:
        self._channels[channel](payload)
