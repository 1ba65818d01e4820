"""Turns at an upstream's pages: how many requests at once, which is next, and which one gives up its place.

A client that requests unknown names makes Koschey request them from its upstream, and an upstream may be silent about
all of them. So a place is temporary: while others wait, the client with the most places loses the one that has received
nothing for the longest time. Waiting clients get places in turn, and of one client's requests the newest comes first:
a client still waits for that one.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from koschey.errors import Busy, UpstreamUnavailable

CLIENT: ContextVar[str] = ContextVar("koschey_client", default="")
"""The client for which a page is requested: its address, or nothing for Koschey's own requests."""
PLACES = 100
"""Pages that one process requests at once."""
LEAST = 2.0
"""Seconds of silence after which a request can lose its place to others."""
EVERY = 0.05
"""Seconds between two lost places: if all are silent, each has five seconds, however many wait."""
PATIENCE = 15.0
"""Seconds for which a request waits for its place."""
MAX_WAITING = 500
"""Requests of one client that may wait."""


@dataclass(slots=True, eq=False)
class Turn:
    """A place that a request occupies."""

    client: str
    limit: asyncio.Timeout
    heard_at: float
    heard: bool = False
    """Whether the upstream has sent anything yet."""

    def hear(self) -> None:
        """Record that the upstream has sent something."""
        self.heard, self.heard_at = True, asyncio.get_running_loop().time()


type Place = asyncio.Future[None]
"""A request that waits for its place."""


class Turns:
    """The turns of one process at one upstream."""

    def __init__(self, places: int = PLACES) -> None:
        self._free = places
        self._occupied = set[Turn]()
        self._waiting = OrderedDict[str, list[Place]]()
        """By client, the next one first; the newest request of each last."""
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def acquire(self, url: str) -> AsyncIterator[Turn]:
        """Wait for a place and hold it. Raises `Busy` if none becomes free.

        Raises `UpstreamUnavailable` inside the block if the place is lost to others.
        """
        client, loop = CLIENT.get(), asyncio.get_running_loop()
        await self._wait(client, url)
        turn = Turn(client, asyncio.timeout(None), loop.time())
        self._occupied.add(turn)
        try:
            async with turn.limit:
                yield turn
        except TimeoutError:
            if not turn.limit.expired():
                raise
            silent = loop.time() - turn.heard_at
            raise UpstreamUnavailable(
                f"{url} sent nothing for {silent:.0f} seconds while other requests were pending"
            ) from None
        finally:
            self._occupied.discard(turn)
            self._release()

    async def _wait(self, client: str, url: str) -> None:
        if self._free:
            self._free -= 1
            return
        place: Place = asyncio.get_running_loop().create_future()
        self._queue(client, place)
        try:
            async with asyncio.timeout(PATIENCE):
                await place
        except TimeoutError:
            self._leave(client, place)
            raise Busy(f"too many requests to the upstream are pending; {url} was not requested") from None
        except asyncio.CancelledError:
            self._leave(client, place)
            raise

    def _queue(self, client: str, place: Place) -> None:
        places = self._waiting.setdefault(client, [])
        places.append(place)
        if len(places) > MAX_WAITING and not (oldest := places.pop(0)).done():
            oldest.set_exception(TimeoutError())
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._make_room)

    def _leave(self, client: str, place: Place) -> None:
        if place.done() and not place.cancelled() and place.exception() is None:
            self._release()  # it got its place in the same moment
        elif place in (places := self._waiting.get(client, [])):
            places.remove(place)
            if not places:
                del self._waiting[client]

    def _release(self) -> None:
        """Give a place to the next request."""
        while self._waiting:
            client, places = self._waiting.popitem(last=False)
            place = places.pop()
            if places:
                self._waiting[client] = places
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    def _make_room(self) -> None:
        """Take one place away if others wait, and check again soon."""
        loop, self._timer = asyncio.get_running_loop(), None
        if not self._waiting:
            return
        self._timer = loop.call_later(EVERY, self._make_room)
        held = Counter(turn.client for turn in self._occupied)
        long_silent = loop.time() - LEAST
        active = [turn for turn in self._occupied if turn.limit.when() is None]
        silent = [turn for turn in active if not turn.heard or turn.heard_at <= long_silent]
        turn = max(silent, key=lambda turn: (held[turn.client], -turn.heard_at), default=None)
        # Wait for the client with the most places: another client must not lose its only place instead.
        if turn is not None and turn.heard_at <= long_silent:
            turn.limit.reschedule(loop.time())
