"""Watches whether a client disconnects before its request is read, and keeps its messages for a later reader."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

KEPT = 16
"""Maximum number of messages kept; a client that has sent so many is no longer watched."""


class ClientGone(Exception):
    """The client closed the connection before it was answered."""


class WatchedReceive:
    """An ASGI `receive` that can be watched before the application reads from it."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._messages: deque[Any] = deque()
        self._next: asyncio.Task[Any] | None = None

    async def __call__(self) -> Any:
        """Return the next message; first those that arrived during `while_there`."""
        return self._messages.popleft() if self._messages else await self._receive_next()

    def close(self) -> None:
        """Cancel a pending call, once the request has been answered."""
        if self._next is not None:
            self._next.cancel()

    async def while_there[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`. Raises `ClientGone`, and cancels the work, if the client disconnects first."""
        task = asyncio.create_task(work)
        try:
            while not task.done() and len(self._messages) < KEPT:
                coming = self._next = self._next or asyncio.ensure_future(self._receive())
                await asyncio.wait({task, coming}, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    self._messages.append(await self._receive_next())
                    if self._messages[-1]["type"] == "http.disconnect":
                        raise ClientGone
            return await task
        finally:
            task.cancel()

    async def _receive_next(self) -> Any:
        """Return the server's next message. Awaits a pending call first, because it may already have a message."""
        if self._next is None:
            return await self._receive()
        message = await self._next
        self._next = None
        return message
