"""Servers that end when the tests that started them are killed.

A fixture stops its server. A killed pytest runs no fixture to its end, so the system signals the servers itself, by the
launcher with which `koschey up` starts its parts. Systems other than Linux have no such signal.

The system sends it when the *thread* that started the server ends. Start servers in the main thread. temporalio starts
its servers in a thread that lives as long as the process.
"""

import atexit
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from koschey.embedded.child import LAUNCHER


def bound(command: Iterable[str], death_signal: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the command that becomes this one, with a signal for it when this process dies.

    The program is an absolute path. A program with processes of its own that do not end with it needs a signal on which
    it stops them.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), "", *command]


@cache
def bound_program(program: str) -> str:
    """Return the path of a script that becomes the program, for a library that takes a path instead of a command."""
    if sys.platform != "linux":
        return program
    folder = Path(tempfile.mkdtemp(prefix="koschey-bound-"))
    atexit.register(shutil.rmtree, folder)
    script = folder / Path(program).name
    script.write_text(f'#!/bin/sh\nexec {shlex.join(bound([program]))} "$@"\n')
    script.chmod(0o700)
    return str(script)
