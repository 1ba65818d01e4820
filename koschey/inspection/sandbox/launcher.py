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
        self._requests: socket.socket | None = None
        self._end: Callable[[], object] = lambda: None

    def start(self, archive: int, *arguments: str | int) -> Child:
        """Start a child with these arguments for `job.work`. Raises `OSError` if that is not possible."""
        try:
            return self._request(self._requests or self._boot(), archive, arguments)
        except (BrokenPipeError, ConnectionResetError):
            # The process died between two requests, so a new one is started.
            return self._request(self._boot(), archive, arguments)

    def _request(self, requests: socket.socket, archive: int, arguments: tuple[str | int, ...]) -> Child:
        with ExitStack() as own, ExitStack() as passed:
            answer, answers = _pair(own, passed)
            line, reports = _pair(own, passed)
            message = json.dumps(arguments).encode()
            socket.send_fds(requests, [message], [archive, answers.fileno(), reports.fileno()])
            own.pop_all()
        return Child(answer, line)

    def _boot(self) -> socket.socket:
        self._end()
        roots = [str(Path(str(module.__file__)).parents[1]) for module in (koschey, packaging)]
        requests, served = socket.socketpair()
        with served:
            process = subprocess.Popen(  # noqa: S603 - no untrusted input
                [
                    sys.executable,
                    *ISOLATED,
                    "-S",
                    "-c",
                    BOOT,
                    *(*roots, str(served.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[served.fileno()],
                env={},
                cwd="/",
            )
        self._requests, self._end = requests, weakref.finalize(self, _end, requests, process)
        return requests


def _end(requests: socket.socket, process: subprocess.Popen[bytes]) -> None:
    requests.close()
    process.wait()


def _pair(own: ExitStack, passed: ExitStack) -> tuple[socket.socket, socket.socket]:
    mine, other = socket.socketpair()
    own.enter_context(mine).setblocking(False)
    return mine, passed.enter_context(other)
