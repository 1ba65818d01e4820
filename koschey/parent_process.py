"""Ends a server's worker process when its parent dies.

Granian and hypercorn end their workers when they are stopped. If they are killed (SIGKILL, out of memory), their
workers would keep the port and continue to serve, with the old code and settings.
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
    """Make this process end with the one that started it by `multiprocessing`, whether it was forked or spawned.

    It is killed rather than stopped: the parent cannot wait for it any more, and each step can be killed and repeated.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        # The kernel sends the signal when the parent thread ends, not its process. Servers start their workers in their
        # main thread.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # the parent died before the call
            os._exit(1)
    else:
        threading.Thread(target=_end_after, args=(parent,), name="parent", daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
