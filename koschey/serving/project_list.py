"""The project list: kept up to date from what changed, rendered once per serial, never per request.

With hundreds of thousands of projects a rendering takes seconds. So it is done in a thread, once for all who ask, and
for at most a tenth of the time: while a list is young, compared with what it cost, it is served although something
has changed meanwhile.

It names every project that is known, also one that is quarantined: what is served of a project its own page decides,
and a name that vanished would look to a mirror as if it had never changed.
"""

import asyncio
import time
from collections.abc import Callable

from packaging.utils import NormalizedName

from koschey.concurrency.flights import Flights
from koschey.db.pool import Pool
from koschey.db.projects import select_listed_since
from koschey.model import Serial
from koschey.serving.encoded import Page, page_of
from koschey.standards import simple_html, simple_json

REST = 9.0
"""A list is served unchanged for so many times the time that it took to make."""
QUICK = 0.05
"""Seconds of making up to which everybody waits for the new list."""
OLDEST = 60.0
"""Seconds of age from which everybody waits for it, however long it takes."""


class ProjectList:
    """The list of one index. One per process."""

    def __init__(self, pool: Pool, trusted: Callable[[], bool]) -> None:
        self._pool = pool
        self._trusted = trusted
        self._serials: dict[NormalizedName, Serial] = {}
        self._serial = Serial(-1)
        self._page: Page | None = None
        self._cost = 0.0
        self._changed = True
        self._making = Flights[None, Page]()

    def change(self) -> None:
        """Something was committed, or may have been."""
        self._changed = True

    def cached(self) -> Page | None:
        """Return the list where nobody has to wait for a newer one."""
        page = self._page
        if page is None or not (self._changed or not self._trusted()):
            return page
        age = time.monotonic() - page.built_at
        if age < REST * self._cost:
            return page
        if self._cost <= QUICK or age > OLDEST:
            return None
        self._making.begin(None, self._make)
        return page

    async def get(self) -> Page:
        """Return the list, waiting for a new one where `cached` has none."""
        if page := self.cached():
            return page
        return await self._making.join(None, self._make)

    async def close(self) -> None:
        """Wait for no list any more."""
        await self._making.close()

    async def _make(self) -> Page:
        begun = time.monotonic()
        # Before the rows are read: a change that is heard of from here on may be missing from them.
        self._changed = False
        try:
            changed = await select_listed_since(self._pool, self._serial)
            if self._page is not None and not changed:
                self._page.built_at = time.monotonic()
                return self._page
            page = self._page = await asyncio.to_thread(self._render, changed)
        except BaseException:
            self._changed = True
            raise
        self._cost = time.monotonic() - begun
        return page

    def _render(self, changed: list[tuple[NormalizedName, Serial]]) -> Page:
        # Nearly sorted already, which is quick to sort.
        self._serials = dict(sorted((self._serials | dict(changed)).items()))
        listed = list(self._serials.items())
        serial = Serial(max((number for _, number in changed), default=0))
        page = page_of(
            serial,
            simple_json.render_project_list(listed, serial),
            simple_html.render_project_list(listed, serial),
        )
        # What was asked for of the last list will be asked for of this one.
        for form, variant in self._page.forms.items() if self._page else ():
            for coding in variant.content.made:
                page.forms[form].content.get(coding)
        self._serial = serial
        return page
