"""Ends a server's worker process when its parent dies.

Granian and hypercorn end their workers when they are stopped. Where they are killed (SIGKILL, out of memory), nobody
does: the workers would keep the port and go on serving, with the code and the settings of before.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1
"""`man 2 prctl`: the signal that the kernel sends when the parent dies."""


def end_with_parent() -> None:
    """Bind this process to the one that started it by `multiprocessing`, whether it was forked or spawned.

    It is killed, not stopped: the parent cannot wait for it any more, and each step can be killed and run again.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        # Servers start their workers in their main thread: the kernel means the thread, not the process.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # it died before
            os._exit(1)
    else:
        threading.Thread(target=_end_after, args=(parent,), name="parent", daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
