"""Work that one task does for all callers that need it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any

import structlog

from koschey.errors import Busy, KoscheyError

log = structlog.get_logger()


@dataclass(slots=True)
class Flight[Result]:
    """Work in progress."""

    task: asyncio.Task[Result]
    waiting: int = 0
    """The number of callers that wait for it."""


class Flights[Key: Hashable, Result]:
    """Work in progress in this process, by its key. Every caller that waits learns how it ended.

    Work continues when no caller waits any more, because its result is kept; without `outlive_clients` it is cancelled.
    """

    def __init__(self, *, outlive_clients: bool = True) -> None:
        self._under_way: dict[Key, Flight[Result]] = {}
        self._outlive_clients = outlive_clients

    async def join(self, key: Key, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Return the result of `work`, which starts unless work with this key is in progress.

        Raises what the work raises, and `Busy` if it was cancelled.
        """
        flight = self._find(key, work)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if flight.task.cancelled() and not (me and me.cancelling()):
                raise Busy("this process is stopping; try again") from None
            raise
        finally:
            flight.waiting -= 1
            if not flight.waiting and not self._outlive_clients and not flight.task.done():
                flight.task.cancel()
                self._forget(key, flight)  # the next client must not join what ends without a result

    def is_under_way(self, key: Key) -> bool:
        """Return whether work with this key is in progress."""
        return key in self._under_way

    def begin(self, key: Key, work: Callable[[], Coroutine[Any, Any, Result]]) -> None:
        """Start `work` in the background, unless work with this key is in progress. Errors are logged."""
        self._find(key, work)

    async def close(self) -> None:
        """Cancel all work and wait for its end."""
        tasks = [flight.task for flight in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _find(self, key: Key, work: Callable[[], Coroutine[Any, Any, Result]]) -> Flight[Result]:
        flight = self._under_way.get(key)
        if flight is None:
            flight = self._under_way[key] = Flight(asyncio.create_task(work()))
            flight.task.add_done_callback(lambda task: self._end(key, flight, task))
        return flight

    def _end(self, key: Key, flight: Flight[Result], task: asyncio.Task[Result]) -> None:
        self._forget(key, flight)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not flight.waiting:
            _log(key, error)

    def _forget(self, key: Key, flight: Flight[Result]) -> None:
        if self._under_way.get(key) is flight:
            del self._under_way[key]


def _log(key: Hashable, error: BaseException) -> None:
    """Log an error that no caller receives."""
    if isinstance(error, KoscheyError):
        log.warning("background work failed", work=str(key), error=str(error))
    else:
        log.error("background work failed", work=str(key), error=repr(error))
