"""Equal questions that are asked at the same time are one question."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Flights[K, T]:
    """Runs one task for all who ask under one key; the task ends when nobody waits for it any more."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}
        self._waiting: dict[asyncio.Task[T], int] = {}

    async def run(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the work returns, or raise what it raises, to everybody who waits."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            self._waiting[task] = 0
        self._waiting[task] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[task] -= 1
            if not self._waiting[task]:
                del self._waiting[task]
                # Who asks from now on asks anew: this task is done, or ends without an answer.
                self._tasks.pop(key, None)
                task.cancel()
