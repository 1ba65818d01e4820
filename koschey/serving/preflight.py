"""Whether a lock can be installed: every pin explained, and names that were never seen looked up, a few at a time.

Strangers may ask that, so one list costs a bounded amount of work: what is here is explained in a thread, and of what
is not here only some names are looked up, for some seconds. The rest is unknown; the client asks again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from weakref import WeakValueDictionary

from packaging.utils import NormalizedName

from koschey.db import projects
from koschey.db.explained import select_known_names
from koschey.db.pool import Pool
from koschey.errors import Busy, EgressRefused, UpstreamError
from koschey.mirror.refresh import Refresher
from koschey.policy.availability import Availability, Explanation, Pin
from koschey.quarantine.explanations import Sight, look_at
from koschey.upstream.turns import ASKER

AT_ONCE = 4
"""Projects that are looked at side by side for one asker: a lock must not keep installers waiting."""
READ_AT_ONCE = 4
"""Projects that one process explains side by side, for all who ask."""
LOOKS = 300
"""Projects that are looked at for one list of pins; in the time that there is, an upstream hardly answers more."""
PATIENCE = 12.0
"""Seconds for which the upstream is asked about one list of pins; less than clients wait."""


@dataclass(slots=True)
class Allowance:
    """What may be asked of the upstream for one list of pins."""

    turns: asyncio.Semaphore
    """Of one asker, over all of his lists."""
    until: float
    """By the clock of the event loop."""
    looks: int = LOOKS

    def take(self) -> bool:
        """Take one look, if there is one left, and time for it."""
        self.looks -= 1
        return self.looks >= 0 and asyncio.get_running_loop().time() < self.until


@dataclass(frozen=True, slots=True)
class Preflight:
    """Answers for lists of pins. One per process."""

    pool: Pool
    refresher: Refresher
    window: timedelta
    freshness: float
    """Seconds after which an upstream's page is old, where it lacks what a pin names."""
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READ_AT_ONCE))
    _turns: WeakValueDictionary[str, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)

    async def check(self, pins: Sequence[Pin]) -> list[Explanation]:
        """Explain every pin, in the order given."""
        turns = self._turns.setdefault(ASKER.get(), asyncio.Semaphore(AT_ONCE))
        allowance = Allowance(turns, asyncio.get_running_loop().time() + PATIENCE)
        by_project: defaultdict[NormalizedName, set[Pin]] = defaultdict(set)
        for pin in pins:
            by_project[pin.project].add(pin)
        known = await select_known_names(self.pool, list(by_project))
        tasks = [
            self._check_known(name, wanted, allowance)
            if name in known
            else self._check_unknown(name, wanted, allowance)
            for name, wanted in by_project.items()
        ]
        found = {pin: told for answers in await asyncio.gather(*tasks) for pin, told in answers.items()}
        return [found[pin] for pin in pins]

    async def _check_known(
        self, name: NormalizedName, pins: Collection[Pin], allowance: Allowance
    ) -> dict[Pin, Explanation]:
        """Explain the pins of one project; what its page lacks is looked up once more where that page is old."""
        told = await self._explain(name, pins)
        missing = [pin for pin in pins if told[pin].state is Availability.MISSING]
        return told | await self._check_unknown(name, missing, allowance) if missing else told

    async def _check_unknown(
        self, name: NormalizedName, pins: Collection[Pin], allowance: Allowance
    ) -> dict[Pin, Explanation]:
        """Look a project up, and explain its pins. Without a look nothing is said of them, and nothing read."""
        try:
            fault = await self._look(name, allowance)
        except TimeoutError:
            return {pin: _unknown(pin, "there was no time to look it up; ask again") for pin in pins}
        told = await self._explain(name, pins)
        if fault is None:
            return told
        return told | {pin: _unknown(pin, fault) for pin in pins if told[pin].state is Availability.MISSING}

    async def _explain(self, name: NormalizedName, pins: Collection[Pin]) -> dict[Pin, Explanation]:
        async with self._reading:
            sight = await look_at(self.pool, name, self.window)
            return await asyncio.to_thread(_tell, sight, pins)

    async def _look(self, name: NormalizedName, allowance: Allowance) -> str | None:
        """Look at the upstream's page, unless somebody just did; returns why that could not be done.

        Raises `TimeoutError` where the list of pins had no time or no look left for it.
        """
        if not allowance.take():
            raise TimeoutError
        try:
            async with asyncio.timeout_at(allowance.until), allowance.turns:
                asked_at = await projects.select_now(self.pool)
                if await self.refresher.find(name) is not None:
                    await self.refresher.look(name, since=asked_at - timedelta(seconds=self.freshness))
        except (UpstreamError, EgressRefused, Busy) as error:
            return str(error)
        return None


def _tell(sight: Sight, pins: Collection[Pin]) -> dict[Pin, Explanation]:
    return {pin: sight.explain(pin.version, pin.hashes) for pin in pins}


def _unknown(pin: Pin, why: str) -> Explanation:
    return Explanation(pin.project, pin.version, Availability.UNKNOWN, why)
