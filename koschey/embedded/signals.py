"""The signals that ask `koschey up` to stop, and a sleep that ends when one of them or the end of a child arrives."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """What has arrived."""

    def __init__(self) -> None:
        self.stop_asked = False
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the next signal."""
        if select.select([self._read_end], [], [], seconds)[0]:
            os.read(self._read_end, 4096)

    def receive(self, number: int, _: FrameType | None) -> None:
        """Note a signal and wake the sleeper."""
        self.stop_asked |= number in STOPPING
        with suppress(BlockingIOError):  # full: the sleeper is awake
            os.write(self._write_end, b".")

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._read_end)
        os.close(self._write_end)


@contextmanager
def listen() -> Iterator[Signals]:
    """Receive the signals inside the block; those that were ignored before, as under `nohup`, stay ignored."""
    signals = Signals()
    numbers = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    former = {number: signal.signal(number, signals.receive) for number in (*numbers, signal.SIGCHLD)}
    try:
        yield signals
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        signals.close()
