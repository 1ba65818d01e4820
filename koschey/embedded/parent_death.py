"""Becomes the given program, and has the system signal the program when the process that started it dies.

Run it by the bare interpreter: `python -I -S parent_death.py PARENT SIGNAL UID:GID PROGRAM ARGUMENT...`. So nothing has
to be done between fork and exec, where a process with threads can do almost nothing safely.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(parent: int, death_signal: int, ids: str, command: list[str]) -> None:
    """Replace this process by the program; return only if the parent has already ended."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if ids:
        uid, gid = map(int, ids.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user, which clears this setting.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() == parent:  # otherwise the parent died before the signal was requested
        os.execv(command[0], command)  # noqa: S606 - the program is ours, and there is no shell


if __name__ == "__main__":
    try:
        become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    except OSError as error:
        sys.exit(f"error: cannot start {sys.argv[4]}: {error}")
