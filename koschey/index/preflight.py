"""Whether a lock can be installed: every pin explained, and names that were never seen looked up, a few at a time."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from packaging.utils import NormalizedName

from koschey.db import projects
from koschey.db.explained import select_known_names
from koschey.db.pool import Pool
from koschey.errors import Busy, EgressRefused, UpstreamError
from koschey.index.explaining import Availability, Explanation, look_at
from koschey.index.refresh import Refresher

AT_ONCE = 4
"""Projects that one process looks at side by side for all who ask: a lock must not keep installers waiting."""
PATIENCE = 12.0
"""Seconds for which the upstream is asked about one list of pins; less than clients wait."""
MAX_PINS = 5000


@dataclass(frozen=True, slots=True)
class Pin:
    """One release that a lock names, with the digests of the files that it allows."""

    project: NormalizedName
    version: str
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preflight:
    """Answers for lists of pins. One per process."""

    pool: Pool
    refresher: Refresher
    window: timedelta
    freshness: float
    """Seconds after which an upstream's page is old, where it lacks what a pin names."""
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def check(self, pins: Sequence[Pin]) -> list[Explanation]:
        """Explain every pin, in the order given."""
        deadline = time.monotonic() + PATIENCE
        by_project: defaultdict[NormalizedName, list[Pin]] = defaultdict(list)
        for pin in pins:
            by_project[pin.project].append(pin)
        known = await select_known_names(self.pool, list(by_project))
        tasks = [self._check_project(of_project, deadline, name in known) for name, of_project in by_project.items()]
        found = {pin: told for answers in await asyncio.gather(*tasks) for pin, told in answers.items()}
        return [found[pin] for pin in pins]

    async def _check_project(self, pins: Sequence[Pin], deadline: float, known: bool) -> dict[Pin, Explanation]:
        """Explain the pins of one project; what its page lacks is looked up once more where that page is old."""
        name = pins[0].project
        async with self._turns:
            told = await self._explain(pins) if known else {}
            if known and not any(_is_missing(told[pin]) for pin in pins):
                return told
            fault = await self._look(name, deadline)
            told = await self._explain(pins)
        if fault is None:
            return told
        unknown = {pin: _unknown(pin, fault) for pin in pins if _is_missing(told[pin])}
        return told | unknown

    async def _explain(self, pins: Sequence[Pin]) -> dict[Pin, Explanation]:
        sight = await look_at(self.pool, pins[0].project, self.window)
        return {pin: sight.explain(pin.version, pin.hashes) for pin in pins}

    async def _look(self, name: NormalizedName, deadline: float) -> str | None:
        """Look at the upstream's page, unless somebody just did; returns why that could not be done."""
        patience = deadline - time.monotonic()
        if patience <= 0:
            return "there was no time to look it up; ask again"
        try:
            async with asyncio.timeout(patience):
                asked_at = await projects.select_now(self.pool)
                if await self.refresher.find(name) is not None:
                    await self.refresher.look(name, since=asked_at - timedelta(seconds=self.freshness))
        except TimeoutError:
            return "the upstream has not answered yet; ask again"
        except (UpstreamError, EgressRefused, Busy) as error:
            return str(error)
        return None


def _is_missing(explanation: Explanation) -> bool:
    return explanation.state is Availability.MISSING


def _unknown(pin: Pin, why: str) -> Explanation:
    return Explanation(pin.project, pin.version, Availability.UNKNOWN, why)
