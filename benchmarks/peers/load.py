"""Counts what a server answers in a second: one thread, keep-alive connections, the next request after each answer.

Every answer's status and size are checked. The connections read from `epoll` into one buffer; bodies are thrown away.
"""

import gc
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers.http1 import LAST_CHUNK, SEPARATOR, TIMEOUT, HttpError

CONNECTIONS = 32
BUFFER = 2**18
OK = b"200"
STATUS = slice(9, 12)
"""Where the status stands in an answer."""


@dataclass(frozen=True)
class Target:
    """A request as bytes, and the size of the body of its answer; None if the server sends it in chunks."""

    request: bytes
    size: int | None


class Lane:
    """One connection, and what is still missing of its answer."""

    __slots__ = ("_address", "_buffer", "_next", "_targets", "head", "missing", "size", "socket", "tail")

    def __init__(self, address: tuple[str, int], targets: Sequence[Target], begin: int, buffer: bytearray) -> None:
        self._address = address
        self._targets = targets
        self._next = begin
        self._buffer = buffer
        self.connect()

    def connect(self) -> None:
        """Open the connection."""
        self.socket = socket.create_connection(self._address, TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        """Send the next request."""
        target = self._targets[self._next % len(self._targets)]
        self._next += 1
        self.size, self.missing, self.head, self.tail = target.size, -1, b"", b""
        self.socket.sendall(target.request)

    def receive(self) -> bool | None:
        """Receive what there is. True if the answer is complete, None if the server closed an idle connection."""
        data: bytes | bytearray = self._buffer
        try:
            count = self.socket.recv_into(self._buffer)
        except ConnectionResetError:
            count = 0
        if not count:
            if self.missing < 0 and not self.head:
                return None
            raise HttpError("the connection was closed in the middle of an answer")
        if self.head:
            data = self.head + data[:count]
            count = len(data)
        if self.missing >= 0:
            body = count
        elif (body := self._begin(data, count)) < 0:
            return False
        if self.size is None:
            self.tail = (self.tail + data[max(0, count - 7) : count])[-7:]
            return self.tail == LAST_CHUNK
        self.missing -= body
        if self.missing < 0:
            raise HttpError(f"{-self.missing} bytes too many")
        return not self.missing

    def _begin(self, data: bytes | bytearray, count: int) -> int:
        end = data.find(SEPARATOR, 0, count)
        if end < 0:
            self.head = bytes(data[:count])
            return -1
        if data[STATUS] != OK:
            raise HttpError(f"the answer was {bytes(data[: min(end, 200)])!r}")
        self.head, self.missing = b"", self.size or 0
        return count - end - len(SEPARATOR)


def rate(address: tuple[str, int], targets: Sequence[Target], seconds: float) -> float:
    """Return the answers per second. Requests are sent for so many seconds; then all answers are waited for."""
    buffer = bytearray(BUFFER)
    lanes = [Lane(address, targets, number, buffer) for number in range(CONNECTIONS)]
    gc.disable()
    try:
        return _run(lanes, seconds)
    finally:
        gc.enable()
        for lane in lanes:
            lane.socket.close()


def _run(lanes: list[Lane], seconds: float) -> float:
    clock, count = time.perf_counter, 0
    with select.epoll() as poller:
        by_descriptor = {}
        for lane in lanes:
            by_descriptor[lane.socket.fileno()] = lane
            poller.register(lane.socket, select.EPOLLIN)
        begun = now = clock()
        for lane in lanes:
            lane.send()
        while by_descriptor:
            events = poller.poll(TIMEOUT)
            now = clock()
            if not events or now - begun > seconds + TIMEOUT:
                raise HttpError(f"the server did not finish within {TIMEOUT:.0f} seconds")
            for descriptor, _ in events:
                lane = by_descriptor[descriptor]
                complete = lane.receive()
                if complete:
                    count += 1
                    if now - begun < seconds:
                        lane.send()
                    else:
                        del by_descriptor[descriptor]
                        poller.unregister(descriptor)
                elif complete is None:
                    _reopen(lane, poller, by_descriptor)
    return count / (clock() - begun)


def _reopen(lane: Lane, poller: select.epoll, by_descriptor: dict[int, Lane]) -> None:
    del by_descriptor[lane.socket.fileno()]
    lane.socket.close()
    lane.connect()
    by_descriptor[lane.socket.fileno()] = lane
    poller.register(lane.socket, select.EPOLLIN)
    lane.send()
