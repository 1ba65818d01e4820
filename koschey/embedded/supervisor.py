"""Supervises the children: starts them, waits for them, restarts them when they die, and stops them in order."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from koschey.embedded.child import POLL, Child, Part, stop_all
from koschey.embedded.signals import Signals
from koschey.errors import KoscheyError, StartError

TOO_MANY_DEATHS = 5
"""Deaths within `MEMORY` seconds after which we give up: another restart would not fix the part."""
MEMORY = 60.0
FIRST_PAUSE = 0.2
"""Seconds before the first restart; doubled with each further one."""

LAST_TO_STOP = ("temporal", "s3", "postgres")
"""The parts that others use, in the order in which they can be stopped."""


class StopAskedError(KoscheyError):
    """Raised if the user stops `koschey up` while it is still starting."""


class GaveUpError(KoscheyError):
    """Raised if a part dies again and again."""


@dataclass(slots=True)
class _Kept:
    """A part that should run, and its child, or None if that has just died."""

    part: Part
    child: Child | None
    ready: bool = False
    deaths: deque[float] = field(default_factory=deque)
    restart_at: float = 0.0


class Supervisor:
    """Runs parts. It uses one thread, because the children die with the thread that started them."""

    def __init__(self, signals: Signals, say: Callable[[str], None]) -> None:
        self._signals = signals
        self._say = say
        self._kept: dict[str, _Kept] = {}

    def start(self, part: Part) -> None:
        """Start a part, and return at once."""
        self._kept[part.name] = _Kept(part, Child(part))

    def wait_for(self, *names: str) -> None:
        """Wait until these parts are ready. Raises `StartError` as soon as any part dies."""
        waiting = set(names)
        while waiting:
            if self._signals.stop_asked:
                raise StopAskedError
            for name, kept in self._kept.items():
                waiting -= self._newly_ready(name, kept, waiting)
            if waiting:
                self._signals.wait(POLL)

    def run(self, part: Part) -> None:
        """Start a part that ends by itself, and wait until it has ended successfully."""
        self.start(part)
        self.wait_for(part.name)
        if child := self._kept.pop(part.name).child:
            child.finish()

    def pids(self) -> dict[str, int]:
        """Return the process id of every part that runs."""
        return {name: kept.child.pid for name, kept in self._kept.items() if kept.child}

    def watch(self) -> None:
        """Keep everything running until a signal says to stop. Raises `GaveUpError` if a part dies again and again."""
        while not self._signals.stop_asked:
            settled = [self._settled(kept) for kept in self._kept.values()]
            self._signals.wait(1.0 if all(settled) else POLL)

    def stop(self) -> None:
        """Stop everything: each part before those that it uses. Safe at any time."""
        names = [name for name in self._kept if name not in LAST_TO_STOP]
        for group in (names, *([name] for name in LAST_TO_STOP)):
            kept = [self._kept.pop(name) for name in group if name in self._kept]
            stop_all(one.child for one in kept if one.child)

    def _newly_ready(self, name: str, kept: _Kept, waiting: set[str]) -> set[str]:
        child = kept.child
        if child is None:
            return set()
        # Read before `is_ready`: a part that ends successfully between the two calls has not failed.
        has_ended = child.exit_status() is not None
        if name in waiting and child.is_ready():
            kept.ready = True
            return {name}
        late = name in waiting and time.monotonic() - child.started > kept.part.patience
        if late or has_ended:
            raise StartError(f"{kept.part.title} {child.how_it_ended()}: {child.last_words()}")
        return set()

    def _settled(self, kept: _Kept) -> bool:
        now = time.monotonic()
        if kept.child is None:
            if now >= kept.restart_at:
                kept.child = Child(kept.part)
            return False
        late = not kept.ready and now - kept.child.started > kept.part.patience
        if late or kept.child.exit_status() is not None:
            self._bury(kept, kept.child, now)
        elif not kept.ready and kept.child.is_ready():
            kept.ready = True
            self._say(f"{kept.part.title} is back")
        return kept.ready

    def _bury(self, kept: _Kept, child: Child, now: float) -> None:
        how, words = child.how_it_ended(), child.last_words()
        child.finish()
        kept.child, kept.ready = None, False
        kept.deaths.append(now)
        while kept.deaths[0] < now - MEMORY:
            kept.deaths.popleft()
        count = len(kept.deaths)
        if count >= TOO_MANY_DEATHS:
            raise GaveUpError(f"{kept.part.title} ended {count} times within a minute, last: {how}: {words}")
        kept.restart_at = now + FIRST_PAUSE * 2 ** (count - 1)
        self._say(f"{kept.part.title} {how}; starting it again")
