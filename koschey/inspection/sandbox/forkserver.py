"""Forks one child for every archive: this process has loaded what they need, and never looks at an archive itself.

It is told what to do on the socket that it inherits: arguments as JSON, and with them the descriptors of the archive,
of a socket for the answer, and of a line on which it says how the child ended. Whoever closes the line ends the child;
when the socket itself is closed, every child ends, and so does this process.
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

type Work = Callable[..., None]

LONGEST = 2**16
"""Bytes of one message. Its descriptors keep it apart from the next one in the stream (unix(7))."""
PASSED = 3
"""Descriptors that come with one."""
HIGHEST = 2**16
"""No descriptor of this process is as high."""


def main(work: Work) -> None:
    """Fork children until nobody asks for any; the last argument is the socket's descriptor."""
    # What a terminal sends to a whole group of processes is for those who asked.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The collector would write to pages that parent and children share.
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[-1])) as asked:
        Forker(asked, work).run()


class Forker:
    """The children that are at work, each with its line."""

    def __init__(self, asked: socket.socket, work: Work) -> None:
        self._asked = asked
        self._work = work
        self._lines: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Fork, end and reap, until the socket is closed."""
        ended, waker = socket.socketpair()
        waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for source in (self._asked, ended):
            self._selector.register(source, selectors.EVENT_READ)
        is_asked = True
        while is_asked:
            for key, _ in self._selector.select():
                if key.fileobj is ended:
                    ended.recv(LONGEST)
                elif key.fileobj is self._asked:
                    is_asked = self._fork()
                else:
                    self._end(key.data)
            # Last: a child may have ended and its line been closed at once.
            self._reap()
        for pid in self._lines:
            os.kill(pid, signal.SIGKILL)

    def _fork(self) -> bool:
        """Start one child. False where nobody can ask for any more."""
        message, descriptors, _, _ = socket.recv_fds(self._asked, LONGEST, PASSED)
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
        """Work with the archive as standard input, the answer as standard output, and no other descriptor of ours."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(archive, 0)
            os.dup2(answer, 1)
            os.closerange(3, HIGHEST)
            self._work(*arguments)
            sys.stdout.flush()
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as a forker
            traceback.print_exc()
        finally:
            os._exit(status)

    def _end(self, pid: int) -> None:
        """End a child whose line was closed. The id is still its own: nobody but us reaps it."""
        self._selector.unregister(self._lines[pid])
        os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Tell how children ended."""
        for pid in list(self._lines):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                with self._lines.pop(pid) as line, contextlib.suppress(KeyError, OSError):
                    line.sendall(b"%d" % os.waitstatus_to_exitcode(status))
                    self._selector.unregister(line)
