"""One child process: starts a part, keeps its log, and ends it together with all its descendants."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from koschey.embedded.account import SystemAccount

LAUNCHER = Path(__file__).with_name("parent_death.py")
MAX_LOG = 10 * 2**20
POLL = 0.02


@dataclass(frozen=True, slots=True)
class Part:
    """One program that `koschey up` runs, and what it needs."""

    name: str
    """`web`, `postgres`, ...: the key of the part everywhere, and the name of its log."""
    title: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    """The working directory."""
    log: Path
    is_ready: Callable[["Child"], bool] = lambda child: child.exit_status() == 0
    """Whether other parts can rely on it. A part that ends by itself is ready once it has ended with exit code 0."""
    patience: float = 60
    """Maximum number of seconds until it is ready."""
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    """The signal that it gets if we die without stopping it: then nobody is left to check whether it obeys."""
    grace: float = 10
    """Seconds that it has to stop before it is killed."""
    account: SystemAccount | None = None
    input: Path | None = None
    """A file for its standard input."""
    says_when_ready: bool = False
    """Whether `--ready-fd N` is added to its command: the part writes a line to N once it is ready."""


class Child:
    """The process of a part that was started."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.started = time.monotonic()
        _rotate(part.log)
        self._ready_pipe: int | None = None
        command, passed = list(part.command), []
        if part.says_when_ready:
            self._ready_pipe, write_end = os.pipe()
            os.set_blocking(self._ready_pipe, False)
            command += ["--ready-fd", str(write_end)]
            passed = [write_end]
        ids = f"{part.account.uid}:{part.account.gid}" if part.account else ""
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(part.orphan_signal)), ids]
        try:
            with (
                open(os.open(part.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log,  # noqa: PTH123 - the mode
                (part.input or Path(os.devnull)).open("rb") as standard_input,
            ):
                self._log_start = log.seek(0, os.SEEK_END)
                self._process = subprocess.Popen(  # noqa: S603 - our own programs, and there is no shell
                    [*launcher, *command],
                    env=dict(part.environment),
                    cwd=part.folder,
                    stdin=standard_input,
                    stdout=log,
                    stderr=log,
                    # A session of its own: Ctrl-C in the terminal reaches only us, and we stop the parts in order.
                    start_new_session=True,
                    pass_fds=passed,
                    umask=0o077,
                )
        finally:
            for descriptor in passed:
                os.close(descriptor)

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_status(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._process.poll()

    def is_ready(self) -> bool:
        """Return whether other parts can rely on it."""
        return self.part.is_ready(self)

    def said_ready(self) -> bool:
        """Return whether it has written its line to the ready pipe."""
        try:
            return self._ready_pipe is not None and os.read(self._ready_pipe, 1024) != b""
        except BlockingIOError:
            return False

    def ask_to_stop(self) -> None:
        """Signal the part itself; it stops its own children in its own order."""
        if self.exit_status() is None:
            self._process.send_signal(self.part.stop_signal)

    def how_it_ended(self) -> str:
        """Return in words how it ended."""
        status = self.exit_status()
        if status is None:
            return f"was not ready after {self.part.patience:.0f} seconds"
        return f"ended with exit code {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"

    def finish(self) -> None:
        """Kill what is left of it, with all descendants, and release its process and pipe."""
        # The group outlives its leader. The system does not reuse its number while it has a member.
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, when only zombies are left
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if self._ready_pipe is not None:
            os.close(self._ready_pipe)
            self._ready_pipe = None

    def last_words(self) -> str:
        """Return the last lines of its log that may explain its failure, and the path of the log."""
        with self.part.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 2**16))
            lines = [line.strip()[:300] for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        informative = [
            line for line in lines if any(word in line.lower() for word in ("error", "fatal", "panic", "denied"))
        ]
        quoted = " | ".join((informative or lines)[-2:])
        return f"{quoted or 'it wrote nothing'} (log: {self.part.log})"


def stop_all(children: Iterable[Child]) -> None:
    """Stop the children at once, each within its grace, and leave no descendant running."""
    remaining = list(children)
    for child in remaining:
        child.ask_to_stop()
    began = time.monotonic()
    while remaining:
        for child in list(remaining):
            if child.exit_status() is not None or time.monotonic() - began > child.part.grace:
                child.finish()
                remaining.remove(child)
        if remaining:
            time.sleep(POLL)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > MAX_LOG:
        log.replace(log.with_suffix(".log.1"))
