"""Supervision of tasks that run for as long as their process: a failed task starts again, or its process ends.

A task that dies alone is the worst outcome: the process looks healthy, and part of its work is not done. So no endless
task is started by `asyncio.create_task`; `Background.start` runs it under one rule:

* The task waits for the end of an outage, however long it lasts. The task's owner defines what an outage is.
* Any other fault is logged with its traceback, and the task starts again. After `ATTEMPTS` faults in a row the task
  gives up, and the owner of `Background` ends the process, so that its supervisor starts a new one.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import structlog

from koschey.errors import TaskFailed

log = structlog.get_logger()

FIRST_WAIT = 0.5
"""Seconds before a task starts again after its first fault; doubled with each further fault."""
LONGEST_WAIT = 5.0
"""Maximum wait in seconds, so that work continues soon after an outage."""
STEADY = 60.0
"""Seconds without a fault after which earlier faults no longer count."""
ATTEMPTS = 20
"""Number of faults in a row, without outages, after which a task gives up: a minute and a half."""

type Job = Callable[[], Coroutine[Any, Any, None]]


async def supervise(name: str, job: Job, is_outage: Callable[[Exception], bool]) -> None:
    """Run an endless job until this is cancelled, and start it again after each fault, also when it returns.

    Raises `TaskFailed` after `ATTEMPTS` faults in a row that are no outages.
    """
    wait, faults = FIRST_WAIT, 0
    while True:
        begun = time.monotonic()
        try:
            await job()
            error: Exception = TaskFailed(f"{name} returned, but must run permanently")
        except Exception as raised:  # noqa: BLE001 - the one place where every fault of a task ends up
            error = raised
        if time.monotonic() - begun >= STEADY:
            wait, faults = FIRST_WAIT, 0
        if is_outage(error):
            log.warning("a background task waits for an outage to end", task=name, error=_describe(error))
        else:
            faults += 1
            log.error("a background task failed and is started again", task=name, faults=faults, exc_info=error)
        if faults >= ATTEMPTS:
            raise TaskFailed(f"{name} failed {faults} times in a row, last with {_describe(error)}") from error
        # Processes that lost the same server do not all come back in the same moment.
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - no secret
        wait = min(2 * wait, LONGEST_WAIT)


class Background:
    """The supervised tasks of one process, cancelled at the end of the block.

    `on_failure` is called once, with the `TaskFailed` of the first task that gave up, and ends the process.
    """

    def __init__(self, on_failure: Callable[[TaskFailed], None]) -> None:
        self._on_failure = on_failure
        self._tasks: list[asyncio.Task[None]] = []
        self._has_failed = False

    def start(self, name: str, job: Job, is_outage: Callable[[Exception], bool]) -> None:
        """Run an endless job, as `supervise` does."""
        task = asyncio.create_task(supervise(name, job, is_outage), name=name)
        task.add_done_callback(self._end)
        self._tasks.append(task)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_failed = True  # from here on nobody needs to know
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, TaskFailed) and not self._has_failed:
            self._has_failed = True
            log.critical("a background task gave up; this process ends", task=task.get_name(), error=str(failure))
            self._on_failure(failure)


def end_process(failure: TaskFailed) -> None:
    """End this process as an operator would, so that running requests are answered; for servers that own the loop."""
    del failure  # has been logged
    os.kill(os.getpid(), signal.SIGTERM)


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
