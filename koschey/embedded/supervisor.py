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
"""The parts that others use. They do not use each other."""


class StopRequestedError(KoscheyError):
    """Raised if the user stops `koschey up` while it is still starting."""


class GaveUpError(KoscheyError):
    """Raised if a part dies again and again."""


@dataclass(slots=True)
class _SupervisedPart:
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
        self._supervised: dict[str, _SupervisedPart] = {}

    def start(self, part: Part) -> None:
        """Start a part, and return at once."""
        self._supervised[part.name] = _SupervisedPart(part, Child(part))

    def wait_for(self, *names: str) -> None:
        """Wait until these parts are ready. Raises `StartError` as soon as any part dies."""
        waiting = set(names)
        while waiting:
            if self._signals.stop_requested:
                raise StopRequestedError
            for name, supervised in self._supervised.items():
                waiting -= self._newly_ready(name, supervised, waiting)
            if waiting:
                self._signals.wait(POLL)

    def run(self, part: Part) -> None:
        """Start a part that ends by itself, and wait until it has ended successfully."""
        self.start(part)
        self.wait_for(part.name)
        if child := self._supervised.pop(part.name).child:
            child.finish()

    def pids(self) -> dict[str, int]:
        """Return the process id of every part that runs."""
        return {name: supervised.child.pid for name, supervised in self._supervised.items() if supervised.child}

    def watch(self) -> None:
        """Keep everything running until a signal says to stop. Raises `GaveUpError` if a part dies again and again."""
        while not self._signals.stop_requested:
            settled = [self._settled(supervised) for supervised in self._supervised.values()]
            self._signals.wait(1.0 if all(settled) else POLL)

    def stop(self) -> None:
        """Stop everything: each part before those that it uses. Safe at any time."""
        names = [name for name in self._supervised if name not in LAST_TO_STOP]
        for group in (names, LAST_TO_STOP):
            supervised = [self._supervised.pop(name) for name in group if name in self._supervised]
            stop_all(one.child for one in supervised if one.child)

    def _newly_ready(self, name: str, supervised: _SupervisedPart, waiting: set[str]) -> set[str]:
        child = supervised.child
        if child is None:
            return set()
        # Read before `is_ready`: a part that ends successfully between the two calls has not failed.
        has_ended = child.exit_status() is not None
        if name in waiting and child.is_ready():
            supervised.ready = True
            return {name}
        late = name in waiting and time.monotonic() - child.started > supervised.part.patience
        if late or has_ended:
            raise StartError(f"{supervised.part.title} {child.how_it_ended()}: {child.last_words()}")
        return set()

    def _settled(self, supervised: _SupervisedPart) -> bool:
        now = time.monotonic()
        if supervised.child is None:
            if now >= supervised.restart_at:
                supervised.child = Child(supervised.part)
            return False
        late = not supervised.ready and now - supervised.child.started > supervised.part.patience
        if late or supervised.child.exit_status() is not None:
            self._record_death(supervised, supervised.child, now)
        elif not supervised.ready and supervised.child.is_ready():
            supervised.ready = True
            self._say(f"{supervised.part.title} is back")
        return supervised.ready

    def _record_death(self, supervised: _SupervisedPart, child: Child, now: float) -> None:
        how, words = child.how_it_ended(), child.last_words()
        child.finish()
        supervised.child, supervised.ready = None, False
        supervised.deaths.append(now)
        while supervised.deaths[0] < now - MEMORY:
            supervised.deaths.popleft()
        count = len(supervised.deaths)
        if count >= TOO_MANY_DEATHS:
            raise GaveUpError(f"{supervised.part.title} ended {count} times within a minute, last: {how}: {words}")
        supervised.restart_at = now + FIRST_PAUSE * 2 ** (count - 1)
        self._say(f"{supervised.part.title} {how}; starting it again")
