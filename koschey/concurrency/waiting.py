"""Waiting for an event for a time, and for the end of a task."""

import asyncio
from typing import Any


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not for ever; tells whether it came."""
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False


async def cancelled(task: asyncio.Task[Any]) -> None:
    """End a background task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
