"""Limits on clients that do not read: a client must read each piece within a time, or the connection is aborted.

A server's `send` returns once there is room for more, under granian and under hypercorn. While a client reads nothing,
it never returns: without a limit such a client keeps its answer, and all that the answer holds, as long as it likes.
Granian buffers several messages for each client, so messages are small; only a bounded number of bytes leaves in large
ones. When an answer is aborted, granian still tries to send the messages in its buffer, and only the kernel can end
that.
"""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

STALL = 30.0
"""Seconds within which a client must read one piece."""
PIECE = 64 * 2**10
"""Bytes of a piece: a client must therefore read at least about 2 kB a second."""
AT_ONCE = 512 * 2**10
"""Bytes up to which an answer from memory is one message. Larger ones are large."""
WHOLE = 64 * 2**20
"""Maximum bytes of large answers that a process hands whole to its server at a time."""
BEHIND = 5
"""Empty messages behind a whole answer. Granian takes four messages without waiting. It takes the fifth one when the
client has read the answer, except for what the kernel buffers."""

OPEN_FILES = Path("/proc/self/fd")
UNACKNOWLEDGED = 40_000
"""Milliseconds after which the kernel ends a connection whose client neither acknowledges data nor has room for it."""


def limit_connections() -> None:
    """Make the kernel end connections whose clients do not read, for every port on which this process listens.

    Connections inherit the option of the socket that accepts them. No server names its sockets to an application, and
    granian opens them after the application has started, so this function finds them among the open files at the first
    request. On a system without `/proc`, it limits nothing.
    """
    sockets = list(_own_sockets())
    try:
        ports = {_port(found) for found in sockets if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)}
        for found in sockets:
            if _port(found) in ports:
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED)
    finally:
        for found in sockets:
            found.close()


def _own_sockets() -> Iterator[socket.socket]:
    """Yield the TCP sockets of this process, as copies that the caller closes."""
    for descriptor in OPEN_FILES.iterdir() if OPEN_FILES.exists() else ():
        # A descriptor that was closed after it was listed cannot be copied.
        with suppress(OSError):
            if str(descriptor.readlink()).startswith("socket:"):
                found = socket.socket(fileno=os.dup(int(descriptor.name)))
                if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
                    yield found
                else:
                    found.close()


def _port(found: socket.socket) -> int:
    return int(found.getsockname()[1])


class LargeAnswers:
    """Sends large answers that are in memory: whole while few bytes are on their way to clients, else in pieces.

    In pieces, an answer of 1.7 MB is sent half as often a second; but for each client that does not read, the server
    keeps a copy of what was handed to it.
    """

    def __init__(self, most: int = WHOLE) -> None:
        self.left = most
        """Bytes that may still be handed over whole."""

    async def send(self, send: Any, start: Any, body: bytes) -> None:
        """Send an answer. Raises `ConnectionAbortedError` if the client stalls."""
        await send(start)
        if len(body) <= self.left:
            self.left -= len(body)
            try:
                await _send_whole(send, body)
            finally:
                self.left += len(body)
        else:
            await limited(send)(_body(body))


async def _send_whole(send: Any, body: bytes) -> None:
    """Send a body, and return when the client has read it."""
    try:
        async with asyncio.timeout(STALL * len(body) / PIECE):
            await send(_body(body, more=True))
            for _ in range(BEHIND):
                await send(_body(b"", more=True))
            await send(_body(b""))
    except TimeoutError:
        raise ConnectionAbortedError("the client reads too slowly") from None


def _body(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def limited(send: Any) -> Any:
    """Return an ASGI `send` that raises `ConnectionAbortedError` if the client stalls."""

    async def send_in_time(message: Any) -> None:
        for piece in _pieces(message):
            try:
                async with asyncio.timeout(STALL):
                    await send(piece)
            except TimeoutError:
                raise ConnectionAbortedError(f"the client read nothing for {STALL:g} seconds") from None

    return send_in_time


def _pieces(message: Any) -> Iterator[Any]:
    """Split a message into pieces that a slow client can read within the time."""
    body = message.get("body", b"")
    if len(body) <= PIECE:
        yield message
        return
    for start in range(0, len(body), PIECE):
        stop = start + PIECE
        more = stop < len(body) or message.get("more_body", False)
        yield {**message, "body": body[start:stop], "more_body": more}
