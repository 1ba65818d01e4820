"""The children that run: started and awaited, started again when they die, and stopped in order."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from koschey.embedded.child import POLL, Child, Part, stop_all
from koschey.embedded.signals import Signals
from koschey.errors import KoscheyError, StartError

TOO_MANY_DEATHS = 5
"""So many within `MEMORY` and we give up: what dies that often is not mended by starting it again."""
MEMORY = 60.0
FIRST_PAUSE = 0.2
"""Seconds before the first restart, doubled with every further one."""

LAST_TO_STOP = ("temporal", "s3", "postgres")
"""What the others use, in the order in which it can be missed."""


class StopAskedError(KoscheyError):
    """The user wants to stop while we are still starting."""


class GaveUpError(KoscheyError):
    """A part dies again and again."""


@dataclass(slots=True)
class _Kept:
    """A part that is to run, and the child that runs it unless it has just died."""

    part: Part
    child: Child | None
    ready: bool = False
    deaths: deque[float] = field(default_factory=deque)
    restart_at: float = 0.0


class Supervisor:
    """Runs parts. Everything happens in the one thread, whose death the children are bound to."""

    def __init__(self, signals: Signals, say: Callable[[str], None]) -> None:
        self._signals = signals
        self._say = say
        self._kept: dict[str, _Kept] = {}

    def start(self, part: Part) -> None:
        """Start it and return at once."""
        self._kept[part.name] = _Kept(part, Child(part))

    def wait_for(self, *names: str) -> None:
        """Wait until these are ready; raise `StartError` as soon as any part dies, whichever it is."""
        waiting = set(names)
        while waiting:
            if self._signals.stop_asked:
                raise StopAskedError
            for name, kept in self._kept.items():
                waiting -= self._newly_ready(name, kept, waiting)
            if waiting:
                self._signals.wait(POLL)

    def run(self, part: Part) -> None:
        """Start a part that ends by itself, and wait for its good end."""
        self.start(part)
        self.wait_for(part.name)
        if child := self._kept.pop(part.name).child:
            child.finish()

    def pids(self) -> dict[str, int]:
        """Return the process id of every part that runs."""
        return {name: kept.child.pid for name, kept in self._kept.items() if kept.child}

    def watch(self) -> None:
        """Keep everything running until asked to stop; raise `GaveUpError` where that is hopeless."""
        while not self._signals.stop_asked:
            settled = [self._settled(kept) for kept in self._kept.values()]
            self._signals.wait(1.0 if all(settled) else POLL)

    def stop(self) -> None:
        """Stop everything, users before what they use. Safe at any moment."""
        names = [name for name in self._kept if name not in LAST_TO_STOP]
        for group in (names, *([name] for name in LAST_TO_STOP)):
            kept = [self._kept.pop(name) for name in group if name in self._kept]
            stop_all(one.child for one in kept if one.child)

    def _newly_ready(self, name: str, kept: _Kept, waiting: set[str]) -> set[str]:
        child = kept.child
        if child is None:
            return set()
        # Before it is asked whether it is ready: a part that ends well between the two questions has not failed.
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
