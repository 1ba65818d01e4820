"""How often somebody may fail to log in: counted in this process, for the account and for the address."""

import time
from collections import deque
from collections.abc import Callable

type Key = tuple[str, str]
"""What is counted: `("account", name)` or `("address", ip)`."""


class Attempts:
    """At most `most` failures within `window` seconds for each key.

    An attempt counts as failed from its start, so that many at once do not slip through before the first has failed.
    """

    def __init__(self, *, most: int = 10, window: float = 300, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._window = window
        self._clock = clock
        self._failed: dict[Key, deque[float]] = {}

    def begin(self, *keys: Key) -> float:
        """Count an attempt and return 0; or count nothing and return after how many seconds to come back."""
        now = self._clock()
        self._forget(now - self._window)
        full = [self._failed[key] for key in keys if len(self._failed.get(key, ())) >= self._most]
        if full:
            return max(times[0] for times in full) + self._window - now
        for key in keys:
            self._failed.setdefault(key, deque()).append(now)
        return 0

    def succeed(self, *keys: Key) -> None:
        """Take the attempt back: it was no failure."""
        for key in keys:
            if times := self._failed.get(key):
                times.pop()

    def _forget(self, until: float) -> None:
        for key, times in list(self._failed.items()):
            while times and times[0] <= until:
                times.popleft()
            if not times:
                del self._failed[key]
