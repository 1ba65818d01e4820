"""Explains whether the pins of a lock can be installed, and looks up projects without rows at the upstream.

Any client may request this, so one list of pins costs a bounded amount of work. Pins with rows are explained in a
thread. Of the others, only some names are looked up, a few at once and for some seconds. The rest is unknown, and the
client tries again.
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
from koschey.quarantine.explanations import ProjectSnapshot, load_snapshot
from koschey.upstream.turns import CLIENT

AT_ONCE = 4
"""Maximum number of projects that are refreshed at once for one client: a lock must not delay installers."""
READ_AT_ONCE = 4
"""Maximum number of projects that one process explains at once, for all clients."""
MAX_REFRESHES = 300
"""Maximum number of refreshes for one list of pins; an upstream hardly answers more within `PATIENCE`."""
PATIENCE = 12.0
"""Total seconds that one list of pins may spend on requests to the upstream; less than clients wait."""


@dataclass(slots=True)
class Allowance:
    """The requests that one list of pins may send to the upstream."""

    turns: asyncio.Semaphore
    """The turns of one client, shared by all of its lists."""
    until: float
    """The deadline, by the clock of the event loop."""
    refreshes: int = MAX_REFRESHES

    def use_refresh(self) -> bool:
        """Use one refresh. Returns whether one was left, and time for it."""
        self.refreshes -= 1
        return self.refreshes >= 0 and asyncio.get_running_loop().time() < self.until


@dataclass(frozen=True, slots=True)
class Preflight:
    """Explains lists of pins. One per process."""

    pool: Pool
    refresher: Refresher
    window: timedelta
    freshness: float
    """Seconds after which an upstream's page that lacks a pin is refreshed."""
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READ_AT_ONCE))
    _turns: WeakValueDictionary[str, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)

    async def check(self, pins: Sequence[Pin]) -> list[Explanation]:
        """Explain every pin. Returns the explanations in the order of `pins`."""
        turns = self._turns.setdefault(CLIENT.get(), asyncio.Semaphore(AT_ONCE))
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
        found = {pin: explained for answers in await asyncio.gather(*tasks) for pin, explained in answers.items()}
        return [found[pin] for pin in pins]

    async def _check_known(
        self, name: NormalizedName, pins: Collection[Pin], allowance: Allowance
    ) -> dict[Pin, Explanation]:
        """Explain the pins of one project. If its page lacks a pin and is old, the page is refreshed."""
        explained = await self._explain(name, pins)
        missing = [pin for pin in pins if explained[pin].state is Availability.MISSING]
        return explained | await self._check_unknown(name, missing, allowance) if missing else explained

    async def _check_unknown(
        self, name: NormalizedName, pins: Collection[Pin], allowance: Allowance
    ) -> dict[Pin, Explanation]:
        """Refresh a project and explain its pins. Without a refresh, no row is read and the pins are unknown."""
        try:
            fault = await self._refresh(name, allowance)
        except TimeoutError:
            return {pin: _unknown(pin, "there was no time to read the upstream's page; check again") for pin in pins}
        explained = await self._explain(name, pins)
        if fault is None:
            return explained
        return explained | {pin: _unknown(pin, fault) for pin in pins if explained[pin].state is Availability.MISSING}

    async def _explain(self, name: NormalizedName, pins: Collection[Pin]) -> dict[Pin, Explanation]:
        async with self._reading:
            snapshot = await load_snapshot(self.pool, name, self.window)
            return await asyncio.to_thread(_explain_pins, snapshot, pins)

    async def _refresh(self, name: NormalizedName, allowance: Allowance) -> str | None:
        """Refresh the upstream's page unless it is fresh. Returns why that failed, or None.

        Raises `TimeoutError` if the list of pins has no time or no refresh left.
        """
        if not allowance.use_refresh():
            raise TimeoutError
        try:
            async with asyncio.timeout_at(allowance.until), allowance.turns:
                requested_at = await projects.select_now(self.pool)
                if await self.refresher.find(name) is not None:
                    await self.refresher.refresh(name, since=requested_at - timedelta(seconds=self.freshness))
        except (UpstreamError, EgressRefused, Busy) as error:
            return str(error)
        return None


def _explain_pins(snapshot: ProjectSnapshot, pins: Collection[Pin]) -> dict[Pin, Explanation]:
    return {pin: snapshot.explain(pin.version, pin.hashes) for pin in pins}


def _unknown(pin: Pin, why: str) -> Explanation:
    return Explanation(pin.project, pin.version, Availability.UNKNOWN, why)
