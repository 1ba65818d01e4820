"""Waits for an event within bounds, for the end of a task, and for work that is done at the same time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event for at most so many seconds; returns whether it came."""
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def all_done(*work: Coroutine[Any, Any, None]) -> None:
    """Do all work at the same time, and wait for the end of all of it. Raises the first error."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def both[A, B](first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Do both at the same time, and wait for the end of both. Raises the first one's error, or else the second's."""
    results = await asyncio.gather(first, second, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    one, other = results
    return cast(tuple[A, B], (one, other))
