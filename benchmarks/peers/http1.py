"""A keep-alive HTTP/1.1 client of one connection, with so little in it that the server's time is what it measures."""

import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

SEPARATOR = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
TIMEOUT = 60.0
"""Seconds for which a server may be silent."""
STEP = 2**20
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]+)[^\r\n]*\r\n")

_scratch = bytearray(STEP)
"""Bodies are received here: memory that is in use already, so that no time goes into pages of new memory."""


class HttpError(Exception):
    """The server broke off, or its answer cannot be read."""


@dataclass(frozen=True)
class Head:
    """The status line and headers of an answer."""

    status: int
    headers: Mapping[str, str]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Parse the bytes before the empty line."""
        first, *lines = raw.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        return cls(int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in fields})

    @property
    def length(self) -> int | None:
        """The size of the body, if it is stated."""
        stated = self.headers.get("content-length")
        return None if stated is None else int(stated)

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.headers.get("transfer-encoding", "").lower() == "chunked"


@dataclass(frozen=True)
class Answer:
    """An answer, and when it came: seconds from the request to the first byte of the body and to the last."""

    head: Head
    body: bytes | memoryview = field(repr=False)
    first: float
    total: float
    wire: int
    """Bytes of the body as they were sent, chunk headers included."""


def encode_request(url: str, headers: Mapping[str, str]) -> bytes:
    """Return the bytes of a GET."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def address(url: str) -> tuple[str, int]:
    """Return what to connect to."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


class Connection:
    """One connection, opened again if the server closed it between two requests."""

    def __init__(self, url: str) -> None:
        """Connect to the server of this URL."""
        self._address = address(url)
        self._socket = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def get(self, url: str, **headers: str) -> Answer:
        """Send a GET. An underscore in a header's name means a hyphen.

        The body of a large answer is valid until the next request of any connection. Raises `HttpError` and `OSError`.
        """
        request = encode_request(url, {name.replace("_", "-"): value for name, value in headers.items()})
        begun = time.perf_counter()
        try:
            self._socket.sendall(request)
            received = self._socket.recv(STEP)
        except (BrokenPipeError, ConnectionResetError):
            received = b""
        if not received:  # the server closed it after the answer before
            self._socket.close()
            self._socket = self._connect()
            self._socket.sendall(request)
            received = self._more()
        while (end := received.find(SEPARATOR)) < 0:
            received += self._more()
        head = Head.parse(received[:end])
        rest = received[end + len(SEPARATOR) :]
        return self._finish(head, rest, begun)

    def _finish(self, head: Head, rest: bytes, begun: float) -> Answer:
        if head.length is None:
            return self._read_chunks(head, rest, begun)
        body = reserve(head.length)
        if len(rest) > len(body):
            raise HttpError(f"{len(rest)} bytes of {len(body)}")
        body[: len(rest)] = rest
        at, first = len(rest), time.perf_counter() - begun if rest else 0.0
        while at < len(body):
            count = self._socket.recv_into(body[at : at + STEP])
            if not count:
                raise HttpError(f"the connection was closed after {at} of {len(body)} bytes")
            first = first or time.perf_counter() - begun
            at += count
        return Answer(head, body, first or time.perf_counter() - begun, time.perf_counter() - begun, len(body))

    def _read_chunks(self, head: Head, rest: bytes, begun: float) -> Answer:
        received, first = bytearray(rest), time.perf_counter() - begun if rest else 0.0
        if head.chunked:
            while not (received.endswith(LAST_CHUNK) or received == LAST_CHUNK[2:]):
                received += self._more()
                first = first or time.perf_counter() - begun
        else:
            while more := self._socket.recv(STEP):
                received += more
                first = first or time.perf_counter() - begun
        total = time.perf_counter() - begun
        body = b"".join(_chunks(bytes(received))) if head.chunked else bytes(received)
        return Answer(head, body, first or total, total, len(received))

    def _more(self) -> bytes:
        received = self._socket.recv(STEP)
        if not received:
            raise HttpError("the connection was closed in the middle of an answer")
        return received

    def _connect(self) -> socket.socket:
        opened = socket.create_connection(self._address, TIMEOUT)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened


def reserve(size: int) -> memoryview:
    """Return memory for so many bytes. A large body's is reserved before it is requested."""
    global _scratch  # noqa: PLW0603 - its memory is used again on purpose
    if len(_scratch) < size:
        _scratch = bytearray(b"\1") * size
    return memoryview(_scratch)[:size]


def _chunks(raw: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while match := CHUNK_SIZE.match(raw, at):
        size = int(match[1], 16)
        if not size:
            return found
        found.append(raw[match.end() : match.end() + size])
        at = match.end() + size + 2
    raise HttpError("a chunk has no size")
