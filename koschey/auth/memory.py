"""What one process remembers for a while, so that it need not be found out again."""

import time
from collections import OrderedDict

AT_MOST = 10_000
"""Values that are kept; beyond, the oldest ones go."""


class Memory[T]:
    """Values under keys, each for the same number of seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, key: str) -> T | None:
        """Return the value, or None where there is none or its time is over."""
        until, value = self._values.get(key, (0.0, None))
        return value if until > time.monotonic() else None

    def put(self, key: str, value: T) -> None:
        """Keep a value from now on."""
        self._values[key] = time.monotonic() + self._seconds, value
        self._values.move_to_end(key)
        if len(self._values) > AT_MOST:
            self._values.popitem(last=False)
