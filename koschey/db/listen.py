"""Hearing what other processes committed: LISTEN on a connection of its own, with reconnection.

A listener that has lost its connection may have missed something, so those who depend on it are told when it is lost
and when it is back, and must not trust what they remember in between.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from koschey.db.pool import LOST, connect

log = structlog.get_logger()

HEARTBEAT = 1.0
"""Seconds between checks that the connection still answers; bounds how long a dead one is trusted."""
RECONNECT = 0.5
"""Seconds between attempts to connect again."""


class Listener:
    """Calls back for every notification on its channels."""

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
        self.connected = False

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except (*LOST, OSError) as error:
                log.warning("the listening connection is lost", error=str(error) or type(error).__name__)
            finally:
                self._lose()
            await asyncio.sleep(RECONNECT)

    async def _listen(self) -> None:
        connection = await connect(self._url)
        try:
            for channel in self._channels:
                await connection.add_listener(channel, self._hear)
            # What was committed before this moment was not heard.
            self._on_lost()
            self.connected = True
            while True:
                await asyncio.sleep(HEARTBEAT)
                await connection.fetchval("SELECT 1", timeout=HEARTBEAT)
        finally:
            connection.terminate()

    def _lose(self) -> None:
        self.connected = False
        self._on_lost()

    def _hear(self, _connection: Any, _pid: int, channel: str, payload: str) -> None:
        self._channels[channel](payload)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not for ever; tells whether it came."""
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False


async def cancelled(task: asyncio.Task[Any]) -> None:
    """End a background task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
