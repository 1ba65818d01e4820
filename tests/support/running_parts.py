"""Finds, kills and suspends the processes of a running `koschey up`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.support.koschey_up import Koschey


def tree(koschey: Koschey, part: str) -> list[psutil.Process]:
    """The running processes of a part."""
    supervisor = psutil.Process(koschey.process.pid)
    words = {"worker": "worker", "web": "web", "postgres": "postgres", "temporal": "temporal", "s3": "rclone"}
    found = []
    for child in supervisor.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command = child.cmdline()  # empty for one that has just ended
            if words[part] in command[:6] or (command and Path(command[0]).name == words[part]):
                found.append(child)
    assert found, f"{part} does not run"
    return [process for child in found for process in [child, *child.children(recursive=True)]]


def kill(koschey: Koschey, part: str) -> None:
    """Kill all processes of a part with SIGKILL; `koschey up` restarts it."""
    for process in tree(koschey, part):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@contextlib.contextmanager
def frozen(koschey: Koschey, part: str) -> Iterator[None]:
    """Suspend a part without ending it: its connections hang."""
    stopped = tree(koschey, part)
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()
