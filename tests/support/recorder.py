"""Detects transactions of ours that wait for anything but PostgreSQL: for S3, an upstream, a thread or a timer.

A transaction that waits for something else keeps its locks and a connection for an unknown time. This module watches
every step of every task in the tests' own process: when a task in a transaction begins to wait, asyncpg must be the one
that waits, on a connection that the task has already.
"""

import asyncio
import gc
import sys
from collections.abc import Coroutine, Generator, Iterator
from itertools import dropwhile
from typing import Any, cast
from weakref import WeakKeyDictionary

import pytest
from asyncpg.transaction import Transaction

OURS = ("koschey.", "activities.", "workflows.")
DRIVER, POOL, TESTS = "/asyncpg/", "/asyncpg/pool.py", "/tests/"

_open: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()
"""The number of our transactions that each task is in."""
_offences: list[str] = []


class Watched(Coroutine[Any, Any, Any]):
    """A task's coroutine that is examined whenever it begins to wait."""

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner

    def send(self, value: Any) -> Any:
        return self._look(self._inner.send(value))

    def throw(self, *error: Any) -> Any:
        return self._look(self._inner.throw(*error))

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _look(self, waits_for: Any) -> Any:
        task = asyncio.current_task()
        if task is not None and _open.get(task):
            frames = list(_frames(self._inner))
            # Only from our own frame on: a test may wait for anything inside its own transaction.
            within = list(dropwhile(lambda frame: not _is_ours(frame), frames))
            places = [frame.f_code.co_filename for frame in within]
            waits_alone = any(DRIVER in place for place in places) and not any(place.endswith(POOL) for place in places)
            if not waits_alone and not any(TESTS in f.f_code.co_filename and not _is_ours(f) for f in within):
                _offences.append(" > ".join(map(_describe, frames)))
        return waits_for


@pytest.fixture(autouse=True)
def transactions_wait_for_postgresql_alone() -> Iterator[None]:
    """Fail every test in whose process a transaction waits for something else."""
    _offences.clear()
    yield
    assert not _offences, "a transaction waits for something other than PostgreSQL:\n" + "\n".join(set(_offences))


def pytest_configure() -> None:
    """Watch all tasks and transactions from now on."""
    create_task, enter, leave = asyncio.BaseEventLoop.create_task, Transaction.__aenter__, Transaction.__aexit__

    def create_watched(loop: Any, work: Any, **more: Any) -> Any:
        return create_task(loop, Watched(work) if asyncio.iscoroutine(work) else work, **more)

    async def enter_watched(transaction: Any) -> None:
        # The frame that awaits this one is the frame of the block.
        is_ours = _is_ours(sys._getframe(1))
        await enter(transaction)
        task = asyncio.current_task()
        if is_ours and task is not None:
            _open[task] = _open.get(task, 0) + 1
            _entered.add(id(transaction))

    async def leave_watched(transaction: Any, *error: Any) -> None:
        task = asyncio.current_task()
        if id(transaction) in _entered and task is not None:
            _entered.discard(id(transaction))
            _open[task] = max(0, _open.get(task, 0) - 1)
        await leave(transaction, *error)

    cast(Any, asyncio.BaseEventLoop).create_task = create_watched
    Transaction.__aenter__, Transaction.__aexit__ = enter_watched, leave_watched


_entered: set[int] = set()


def _frames(waiting: Any) -> Iterator[Any]:
    """Yield the frames of an awaitable, the outermost first, through coroutines and asynchronous generators."""
    while waiting is not None:
        for kind in ("cr", "ag", "gi"):
            frame = getattr(waiting, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                waiting = getattr(waiting, f"{kind}_await", None) or getattr(waiting, f"{kind}_yieldfrom", None)
                break
        else:
            waiting = _generator_of(waiting)


def _generator_of(step: Any) -> Any:
    """Return the asynchronous generator that `anext`, or `async for`, steps through; only `gc` can find it."""
    referred = gc.get_referents(step)
    if generator := next((each for each in referred if hasattr(each, "ag_frame")), None):
        return generator
    inner = next((each for each in referred if type(each).__name__ == "async_generator_asend"), None)
    return _generator_of(inner) if inner is not None else None


def _is_ours(frame: Any) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(OURS)


def _describe(frame: Any) -> str:
    code = frame.f_code
    return f"{'/'.join(code.co_filename.split('/')[-3:])}:{frame.f_lineno} {code.co_name}"
