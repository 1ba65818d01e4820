"""The faults of the test upstream.

A pattern selects requests. If it begins with a slash it is a path and everything below it, or a glob over the whole
path (`*` crosses slashes): "/simple/six/", "/packages/*.whl". Otherwise it is a glob over the last segment, which is a
project or a filename: "six", "six-*.whl".
"""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Self

from tests.support.upstream.catalogue import Body

ABOUT_THE_BODY = frozenset({"ETag", "Content-Range"})


def matches(pattern: str, path: str) -> bool:
    """Return whether the pattern selects this exact path, or its last segment."""
    subject = path if pattern.startswith("/") else path.rstrip("/").rpartition("/")[2]
    return subject == pattern or fnmatchcase(subject, pattern)


def covers(pattern: str, path: str) -> bool:
    """Return whether the pattern selects this path, or one above it."""
    return matches(pattern, path) or (pattern.startswith("/") and path.startswith(pattern))


@dataclass(frozen=True)
class Answer:
    """The answer to send; `span` is the requested range of the body."""

    status: int
    headers: Mapping[str, str]
    body: Body
    span: range | None = None

    @property
    def part(self) -> range:
        """The offsets to send."""
        return range(self.body.size) if self.span is None else self.span


@dataclass(kw_only=True)
class Fault:
    """One misbehaviour; see `Upstream.fault`."""

    pattern: str
    status: int | None = None
    delay: float = 0
    reset_after: int | None = None
    truncate_at: int | None = None
    body: bytes | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    redirect: str | None = None
    bytes_per_second: int | None = None
    chunked: bool = False
    times: int | None = None
    applied: int = 0

    def applies(self, path: str) -> bool:
        """Return whether the pattern selects the request and the fault is not used up."""
        return (self.times is None or self.applied < self.times) and covers(self.pattern, path)

    def distort(self, answer: Answer) -> Answer:
        """Return the answer that is sent instead of the true one."""
        if self.redirect is not None:
            location = {"Location": self.redirect, **self.headers}
            return Answer(self.status or 302, location, Body.of(b""))
        extra = dict(self.headers) | ({"Content-Type": self.content_type} if self.content_type else {})
        if self.body is not None:
            # The validator belongs to the true body: with another body it would poison honest caches.
            kept = {name: value for name, value in answer.headers.items() if name not in ABOUT_THE_BODY}
            return Answer(self.status or 200, kept | extra, Body.of(self.body))
        if self.status is not None:
            text = Body.of(f"{self.status}\n".encode())
            return Answer(self.status, {"Content-Type": "text/plain"} | extra, text)
        return Answer(answer.status, {**answer.headers, **extra}, answer.body, answer.span)

    @property
    def cut(self) -> int | None:
        """The number of bytes of the body after which the connection ends."""
        return self.reset_after if self.reset_after is not None else self.truncate_at


class Hold:
    """Requests whose answers stop in the middle until `release`."""

    def __init__(self, pattern: str, after: int, loop: asyncio.AbstractEventLoop) -> None:
        self.pattern = pattern
        self.after = after
        self.released = False
        self._loop = loop
        self._gate = asyncio.Event()
        self._waiting = 0
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def waiting(self) -> int:
        """The number of requests that are stopped now, without those whose client went away."""
        return self._waiting

    def wait(self, count: int = 1, timeout: float = 10) -> None:
        """Block until at least `count` requests are stopped; `wait(0)` until none is."""
        with self._changed:
            reached = self._changed.wait_for(
                lambda: self._waiting >= count if count else not self._waiting,
                timeout,
            )
        if not reached:
            raise TimeoutError(f"{self._waiting} of {count} requests for {self.pattern} are held")

    def release(self) -> None:
        """Continue all requests, and stop no more of them. When this returns, none is stopped."""
        if not self.released:
            self.released = True
            self._loop.call_soon_threadsafe(self._gate.set)
            self.wait(0)

    async def block(self) -> None:
        """Wait for `release`; the server calls this."""
        self._count(1)
        try:
            await self._gate.wait()
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self._waiting += change
            self._changed.notify_all()
