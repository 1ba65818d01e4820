"""Bounded waits for an event, and for the end of a task."""

import asyncio
from typing import Any


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
