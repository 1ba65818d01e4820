"""The project list: updated from changed projects only, and rendered once per serial rather than per request.

With hundreds of thousands of projects, a rendering takes seconds. It therefore runs in a thread, once for all callers,
and for at most a tenth of the time: while a list is young compared with the time to make it, it is served although
projects have changed since.

The list names every project in the database, including quarantined ones. A project's own page decides what is served
of it. If a name vanished, a mirror would conclude that the project has not changed.
"""

import asyncio
import time
from collections.abc import Callable

from packaging.utils import NormalizedName

from koschey.concurrency.flights import Flights
from koschey.db.pool import Pool
from koschey.db.projects import select_listed_since
from koschey.model import Serial
from koschey.serving.encoded import EncodedPage, page_of
from koschey.standards import simple_html, simple_json

REST = 9.0
"""A list is served unchanged for this multiple of the time to make it."""
QUICK = 0.05
"""If a list takes at most this number of seconds to make, clients wait for the new one."""
OLDEST = 60.0
"""If the list is older than this number of seconds, clients wait for the new one, however long it takes."""


class ProjectList:
    """The list of one index. One per process."""

    def __init__(self, pool: Pool, trusted: Callable[[], bool]) -> None:
        self._pool = pool
        self._trusted = trusted
        self._serials: dict[NormalizedName, Serial] = {}
        self._serial = Serial(-1)
        self._page: EncodedPage | None = None
        self._cost = 0.0
        self._changed = True
        self._making = Flights[None, EncodedPage]()

    def change(self) -> None:
        """Mark the list as outdated, because a change was committed or may have been."""
        self._changed = True

    def cached(self) -> EncodedPage | None:
        """Return the list from memory, or None if the client must wait for a newer one."""
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

    async def get(self) -> EncodedPage:
        """Return the list; wait for a new one if `cached` returns None."""
        if page := self.cached():
            return page
        return await self._making.join(None, self._make)

    async def close(self) -> None:
        """Cancel the rendering in progress."""
        await self._making.close()

    async def _make(self) -> EncodedPage:
        begun = time.monotonic()
        # Reset before the rows are read: they may lack a change that is notified from now on.
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

    def _render(self, changed: list[tuple[NormalizedName, Serial]]) -> EncodedPage:
        # The names are nearly sorted already, so that sorting them is quick.
        self._serials = dict(sorted((self._serials | dict(changed)).items()))
        listed = list(self._serials.items())
        serial = Serial(max((number for _, number in changed), default=0))
        page = page_of(
            serial,
            simple_json.render_project_list(listed, serial),
            simple_html.render_project_list(listed, serial),
        )
        # Clients will request this list in the codings in which they requested the last one.
        for form, variant in self._page.forms.items() if self._page else ():
            for coding in variant.content.made:
                page.forms[form].content.get(coding)
        self._serial = serial
        return page
