"""How the test upstream misbehaves, when a test tells it to.

A pattern says which requests are meant. With a leading slash it is a path and all that is below it, or a glob
over the whole path (`*` crosses slashes): "/simple/six/", "/packages/*.whl". Without one it is a glob over
the last segment, a project or a filename: "six", "six-*.whl".
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
    """Whether this exact path (or its last segment) is meant."""
    subject = path if pattern.startswith("/") else path.rstrip("/").rpartition("/")[2]
    return subject == pattern or fnmatchcase(subject, pattern)


def covers(pattern: str, path: str) -> bool:
    """Whether this path, or one above it, is meant."""
    return matches(pattern, path) or (pattern.startswith("/") and path.startswith(pattern))


@dataclass(frozen=True)
class Answer:
    """What is to be sent; `span` is the part of the body that a range asked for."""

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
        """Whether the request is meant and the fault is not used up."""
        return (self.times is None or self.applied < self.times) and covers(self.pattern, path)

    def distort(self, answer: Answer) -> Answer:
        """What is said in place of the true answer."""
        if self.redirect is not None:
            location = {"Location": self.redirect, **self.headers}
            return Answer(self.status or 302, location, Body.of(b""))
        extra = dict(self.headers) | ({"Content-Type": self.content_type} if self.content_type else {})
        if self.body is not None:
            # The validator belongs to the true body: sent with another, it would poison honest caches.
            kept = {name: value for name, value in answer.headers.items() if name not in ABOUT_THE_BODY}
            return Answer(self.status or 200, kept | extra, Body.of(self.body))
        if self.status is not None:
            text = Body.of(f"{self.status}\n".encode())
            return Answer(self.status, {"Content-Type": "text/plain"} | extra, text)
        return Answer(answer.status, {**answer.headers, **extra}, answer.body, answer.span)

    @property
    def cut(self) -> int | None:
        """After how many bytes of the body the connection ends."""
        return self.reset_after if self.reset_after is not None else self.truncate_at


class Hold:
    """Requests that stand still in the middle of their answer until `release`."""

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
        """How many requests stand still now; one whose client went away does not."""
        return self._waiting

    def wait(self, count: int = 1, timeout: float = 10) -> None:
        """Block until at least `count` requests stand still; `wait(0)` until none does."""
        with self._changed:
            reached = self._changed.wait_for(
                lambda: self._waiting >= count if count else not self._waiting,
                timeout,
            )
        if not reached:
            raise TimeoutError(f"{self._waiting} of {count} requests for {self.pattern} are held")

    def release(self) -> None:
        """Let them go on, and hold no more; none stands still when this returns."""
        if not self.released:
            self.released = True
            self._loop.call_soon_threadsafe(self._gate.set)
            self.wait(0)

    async def block(self) -> None:
        """Stand still; the server calls this."""
        self._count(1)
        try:
            await self._gate.wait()
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self._waiting += change
            self._changed.notify_all()
