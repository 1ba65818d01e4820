"""Ends processes that an earlier `koschey up` on the same folder left running, because it was killed outright."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from koschey.embedded.environment import FOLDER_MARK, folder_mark

PROC = Path("/proc")

GRACE = 10.0
"""Seconds in which they may end by themselves: they got a signal when their parent died."""


def end_leftovers(folder: Path) -> None:
    """End every process that carries this folder's mark. The caller must hold the folder's lock.

    The mark is better evidence than a recorded process id: no other process can get it, and grandchildren have it too.
    Systems without `/proc` have no leashes either; there PostgreSQL refuses to start twice.
    """
    mark = f"{FOLDER_MARK}={folder_mark(folder)}".encode()

    def marked() -> list[int]:
        return [pid for pid in _processes() if mark in _read(pid, "environ").split(b"\0")]

    _end(marked)


def end_postgres(data: Path) -> None:
    """Make sure that PostgreSQL's pid file names no living process.

    PostgreSQL mistakes any process of its account with that id for its former self, and refuses to start. This often
    happens in a container, where process ids are small and start again from 1.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return

    def running() -> list[int]:
        command = _read(pid, "cmdline").split(b"\0")
        return [pid] if b"-D" in command and os.fsencode(data) in command else []

    if PROC.exists():
        _end(running)
        pid_file.unlink(missing_ok=True)


def _end(find: Callable[[], list[int]]) -> None:
    if not (found := find()):
        return
    # SIGINT is PostgreSQL's fast shutdown. It ends the others as well as SIGTERM does.
    _signal(found, signal.SIGINT)
    deadline = time.monotonic() + GRACE
    while found and time.monotonic() < deadline:
        time.sleep(0.05)
        found = find()
    _signal(found, signal.SIGKILL)
    while find():
        time.sleep(0.05)


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _processes() -> list[int]:
    if not PROC.exists():
        return []
    pids = {int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()}
    return sorted(pids - {os.getpid()})


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:  # gone meanwhile, or another user's
        return b""
