"""Runs activities under Temporal: with heartbeats while they work, and without a traceback for expected errors."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from koschey.errors import KoscheyError

HEARTBEAT = 5.0
"""Seconds between two heartbeats; `workflows.options` waits for four of them."""


@contextmanager
def expected_errors(kinds: tuple[type[KoscheyError], ...] = (KoscheyError,)) -> Iterator[None]:
    """Report an expected error to Temporal by its class and message, for a retry, without a traceback."""
    try:
        yield
    except kinds as error:
        kind = type(error).__name__
        raise ApplicationError(str(error), type=kind, category=ApplicationErrorCategory.BENIGN) from None


@asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Send heartbeats while the block runs, so that Temporal notices a dead worker long before the timeout.

    A local activity needs no heartbeats: it lives and dies with its workflow's task.
    """
    if activity.info().is_local:
        yield
        return

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
