"""The event loop of web and worker: uvloop where it is installed, else asyncio's own.

Commands that end by themselves use asyncio's: for a few statements, importing uvloop costs more than it saves.
"""

import asyncio
import importlib.util
from collections.abc import Callable


def has_uvloop() -> bool:
    """Return whether uvloop is installed, without importing it."""
    return importlib.util.find_spec("uvloop") is not None


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return the function that makes the loop, for `asyncio.Runner`."""
    if not has_uvloop():
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415 - an extra

    return uvloop.new_event_loop


def running_loop() -> str:
    """Return the package of the loop that runs, for the log: `uvloop` or `asyncio`."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]
