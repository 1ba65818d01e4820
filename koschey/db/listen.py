"""Notifications of what other processes commit: LISTEN on a separate connection.

The caches of a process are correct only while it hears of every commit, and a connection can fall silent without an
error: because of a stalled network, or a host that was paused. So the listener sends PostgreSQL a heartbeat several
times a second. It is trusted only for `TRUST` seconds after it *sent* the last heartbeat that was answered. When the
answer arrived, the listener had heard of all that was committed before that moment, because PostgreSQL answers on the
connection on which it notifies.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from koschey.db.pool import connect

HEARTBEAT = 0.2
"""Seconds between heartbeats."""
TRUST = 0.9
"""Seconds for which an answered heartbeat counts, from when it was sent. With the time that a response needs to leave
this process, a block is active everywhere one second after its commit, whatever happens to the connection."""
PATIENCE = 5.0
"""Seconds without an answer after which the connection is closed. It was not trusted for most of them."""


type Hear = Callable[[str, int], None]
"""Takes the payload of a notification, and the process id of the connection whose commit it is about."""


class Listener:
    """Calls back for every notification on its channels.

    `on_lost` is called when the connection is lost, and when a new one listens: anything cached before may be stale.
    While the connection only stalls, nothing is lost: the listener hears of all commits of that time before it is
    trusted again.
    """

    def __init__(
        self,
        url: str,
        channels: Mapping[str, Hear],
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
        """Whether the listener has heard of everything that was committed more than `TRUST` seconds ago."""
        # The monotonic clock continues while a process is stopped, so a process that wakes up is not trusted at first.
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
        # The listener has not heard of what was committed before this moment.
        self._on_lost()
        self.is_listening = True
        while True:
            sent = time.monotonic()
            await connection.fetchval("SELECT 1", timeout=PATIENCE)
            self._trusted_until = sent + TRUST
            await asyncio.sleep(HEARTBEAT)

    def _hear(self, _connection: Any, sender: int, channel: str, payload: str) -> None:
        self._channels[channel](payload, sender)
