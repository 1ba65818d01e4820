"""Parts of `koschey up` without the rest of it: children to start and supervise, and what becomes of them."""

import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from koschey.embedded.child import Part
from koschey.embedded.environment import bare_environment
from koschey.embedded.signals import Signals
from koschey.embedded.supervisor import Supervisor

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


def mode(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def gone(pid: int) -> bool:
    """Whether a process has ended, though perhaps nobody has asked how."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether a condition becomes true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def part(folder: Path, *command: str, **changes: object) -> Part:
    """A part that is ready at once, unless told otherwise."""
    plain = Part(
        name="part",
        title="the part",
        command=command,
        environment=bare_environment(folder),
        folder=folder,
        log=folder / "logs" / "part.log",
        is_ready=lambda _: True,
        grace=1,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@contextmanager
def supervised(said: list[str] | None = None) -> Iterator[Supervisor]:
    """A supervisor, and the end of all that it started; `said` collects what it tells the user."""
    signals = Signals()
    supervisor = Supervisor(signals, (said if said is not None else []).append)
    try:
        yield supervisor
    finally:
        supervisor.stop()
        signals.close()
