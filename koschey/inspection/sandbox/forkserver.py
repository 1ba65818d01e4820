"""Forks one child for every archive: this process has loaded what children need, and never reads an archive itself.

It receives requests on the socket that it inherits: arguments as JSON, with the descriptors of the archive, of a socket
for the answer, and of a line on which it reports how the child ended. A caller ends a child by closing its line. When
the socket itself is closed, every child ends, and so does this process.
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from koschey.inspection.sandbox.interpreter import close_others

type Work = Callable[..., None]

LONGEST = 2**16
"""Maximum number of bytes of a message. Its descriptors separate it from the next one in the stream (unix(7))."""
PASSED = 3
"""Number of descriptors that come with a message."""


def main(work: Work) -> None:
    """Fork children until the socket is closed; the last argument is its descriptor."""
    # A terminal sends SIGINT to the whole process group; the callers handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The collector would write to pages that parent and children share.
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[-1])) as requests:
        Forker(requests, work).run()


class Forker:
    """The running children, each with its line."""

    def __init__(self, requests: socket.socket, work: Work) -> None:
        self._requests = requests
        self._work = work
        self._lines: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Fork, end and reap children until the socket is closed."""
        ended, waker = socket.socketpair()
        waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for source in (self._requests, ended):
            self._selector.register(source, selectors.EVENT_READ)
        is_open = True
        while is_open:
            for key, _ in self._selector.select():
                if key.fileobj is ended:
                    ended.recv(LONGEST)
                elif key.fileobj is self._requests:
                    is_open = self._fork()
                else:
                    self._end(key.data)
            # Last, because a child may end and its line be closed at the same time.
            self._reap()
        for pid in self._lines:
            os.kill(pid, signal.SIGKILL)

    def _fork(self) -> bool:
        """Start one child. Returns False if the socket is closed."""
        message, descriptors, _, _ = socket.recv_fds(self._requests, LONGEST, PASSED)
        if not message:
            return False
        archive, answer, line = descriptors
        pid = os.fork()
        if pid == 0:
            self._become_child(json.loads(message), archive, answer)
        os.close(archive)
        os.close(answer)
        self._lines[pid] = socket.socket(fileno=line)
        self._selector.register(self._lines[pid], selectors.EVENT_READ, pid)
        return True

    def _become_child(self, arguments: list[str | int], archive: int, answer: int) -> NoReturn:
        """Work with the archive as standard input, the answer as standard output, and no descriptor above 2."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(archive, 0)
            os.dup2(answer, 1)
            close_others()
            self._work(*arguments)
            sys.stdout.flush()
            status = 0
        except BaseException:  # noqa: BLE001 - after any error, the child must not continue as a forker
            traceback.print_exc()
        finally:
            os._exit(status)

    def _end(self, pid: int) -> None:
        """Kill a child whose line was closed. The id is still its own: only this process reaps it."""
        self._selector.unregister(self._lines[pid])
        os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Report how children ended, each on its line."""
        for pid in list(self._lines):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                with self._lines.pop(pid) as line, contextlib.suppress(KeyError, OSError):
                    line.sendall(b"%d" % os.waitstatus_to_exitcode(status))
                    self._selector.unregister(line)
