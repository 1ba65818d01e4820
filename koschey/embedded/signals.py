"""Receives the signals that stop `koschey up`. Its sleep ends when one arrives, or when a child ends."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """The signals that have arrived."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)

    def wait(self, seconds: float) -> None:
        """Sleep until the next signal, at most so many seconds."""
        if select.select([self._read_end], [], [], seconds)[0]:
            os.read(self._read_end, 4096)

    def receive(self, number: int, _: FrameType | None) -> None:
        """Record a signal, and wake the sleeper."""
        self.stop_requested |= number in STOPPING
        with suppress(BlockingIOError):  # the pipe is full, so the sleeper is awake
            os.write(self._write_end, b".")

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._read_end)
        os.close(self._write_end)


@contextmanager
def listen() -> Iterator[Signals]:
    """Receive the signals inside the block. Signals that were ignored before, as under `nohup`, stay ignored."""
    signals = Signals()
    numbers = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    former = {number: signal.signal(number, signals.receive) for number in (*numbers, signal.SIGCHLD)}
    try:
        yield signals
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        signals.close()
