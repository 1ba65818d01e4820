"""Waits in a test's event loop for the effects of another task or process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(what: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Call `what`, and await its answer if that is awaitable, until the answer is true; return it.

    Raises `AssertionError` with the last answer after so many seconds.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + seconds, 0.002
    while True:
        found = what()
        answer = await found if isinstance(found, Awaitable) else found
        if answer:
            return answer
        assert loop.time() < deadline, f"never became true, last answer: {answer!r}"
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)
