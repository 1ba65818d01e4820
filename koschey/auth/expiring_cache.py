"""A cache of one process, whose values expire."""

import time
from collections import OrderedDict

AT_MOST = 10_000
"""Maximum number of values. Beyond it, the oldest value is removed."""


class ExpiringCache[T]:
    """Values under keys, each kept for the same number of seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, key: str) -> T | None:
        """Return the value, or None if there is none or it has expired."""
        until, value = self._values.get(key, (0.0, None))
        return value if until > time.monotonic() else None

    def put(self, key: str, value: T) -> None:
        """Store a value, and start its time."""
        self._values[key] = time.monotonic() + self._seconds, value
        self._values.move_to_end(key)
        if len(self._values) > AT_MOST:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Remove all values."""
        self._values.clear()
