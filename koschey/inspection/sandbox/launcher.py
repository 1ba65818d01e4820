"""Keeps the process that forks children, and requests them from it. Starts it on demand, and again if it has died."""

import json
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import packaging

import koschey
from koschey.inspection.sandbox.interpreter import ISOLATED

BOOT = """
import sys; sys.path += sys.argv[1:3]
from koschey.inspection.sandbox import forkserver, job; forkserver.main(job.work)
"""
"""Isolated and without `site`, the process sees the standard library and these two folders, wherever Koschey is
installed."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running child. Closing it ends the child."""

    answer: socket.socket
    """What it prints."""
    line: socket.socket
    """Gives the exit code when the child ends, or nothing if the forking process is gone."""

    def close(self) -> None:
        """End the child."""
        self.answer.close()
        self.line.close()


class Children:
    """Starts children. They and the process that forks them end with this object or with the calling process."""

    def __init__(self) -> None:
        self._asks: socket.socket | None = None
        self._end: Callable[[], object] = lambda: None

    def start(self, archive: int, *arguments: str | int) -> Child:
        """Start a child with these arguments for `job.work`. Raises `OSError` if that is not possible."""
        try:
            return self._ask(self._asks or self._boot(), archive, arguments)
        except (BrokenPipeError, ConnectionResetError):
            # The process died between two requests, so a new one is started.
            return self._ask(self._boot(), archive, arguments)

    def _ask(self, asks: socket.socket, archive: int, arguments: tuple[str | int, ...]) -> Child:
        with ExitStack() as ours, ExitStack() as theirs:
            answer, answers = _pair(ours, theirs)
            line, tells = _pair(ours, theirs)
            message = json.dumps(arguments).encode()
            socket.send_fds(asks, [message], [archive, answers.fileno(), tells.fileno()])
            ours.pop_all()
        return Child(answer, line)

    def _boot(self) -> socket.socket:
        self._end()
        roots = [str(Path(str(module.__file__)).parents[1]) for module in (koschey, packaging)]
        asks, asked = socket.socketpair()
        with asked:
            process = subprocess.Popen(  # noqa: S603 - no untrusted input
                [
                    sys.executable,
                    *ISOLATED,
                    "-S",
                    "-c",
                    BOOT,
                    *(*roots, str(asked.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[asked.fileno()],
                env={},
                cwd="/",
            )
        self._asks, self._end = asks, weakref.finalize(self, _end, asks, process)
        return asks


def _end(asks: socket.socket, process: subprocess.Popen[bytes]) -> None:
    asks.close()
    process.wait()


def _pair(ours: ExitStack, theirs: ExitStack) -> tuple[socket.socket, socket.socket]:
    mine, other = socket.socketpair()
    ours.enter_context(mine).setblocking(False)
    return mine, theirs.enter_context(other)
