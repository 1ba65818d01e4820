"""A project's page as ready bytes: rendered once per change, kept in memory, forgotten on the notification of a commit.

The cache is never trusted blindly: while the listening connection is lost nothing is kept, and a page that was built
while its project changed is answered once and not kept.
"""

import gzip
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from koschey.db import files, journal, projects
from koschey.db.policies import load_policy
from koschey.db.pool import Pool
from koschey.index.refresh import Refresher
from koschey.model import Serial
from koschey.policy.verdict import verdict
from koschey.standards import simple_html, simple_json
from koschey.standards.negotiation import Form
from koschey.standards.project_page import ProjectPage

CACHE_BYTES = 256 * 2**20
"""Memory for pages in one process."""
PROJECT_LIST = NormalizedName("")
"""Key of the project list, which is no project's name."""


@dataclass(slots=True)
class Variant:
    """One form of a page. Each encoding has a strong ETag of its own: some clients ignore weak ones."""

    body: bytes
    etag: str
    _zipped: bytes | None = None

    @property
    def zipped(self) -> bytes:
        """The body in gzip, made when it is first asked for."""
        if self._zipped is None:
            self._zipped = gzip.compress(self.body, compresslevel=6, mtime=0)
        return self._zipped


@dataclass(slots=True)
class Page:
    """A page in all its forms."""

    serial: Serial
    forms: dict[Form, Variant]
    built_at: float = field(default_factory=time.monotonic)

    @property
    def weight(self) -> int:
        """Bytes of memory, with room for the compressed forms."""
        return sum(2 * len(variant.body) for variant in self.forms.values())


class PageCache:
    """Pages by project name, the least recently used ones leaving first."""

    def __init__(self, trusted: Callable[[], bool]) -> None:
        self._trusted = trusted
        self._pages: OrderedDict[NormalizedName, Page] = OrderedDict()
        self._weight = 0
        self._changes = 0

    def get(self, name: NormalizedName) -> Page | None:
        """Return the page, if it is certain that nothing has changed since it was built."""
        page = self._pages.get(name)
        if page is None or not self._trusted():
            return None
        self._pages.move_to_end(name)
        return page

    @property
    def changes(self) -> int:
        """A number that differs once anything was forgotten; taken before rows are read, given back to `put`."""
        return self._changes

    def put(self, name: NormalizedName, page: Page, changes: int) -> None:
        """Keep a page, unless something changed since `changes` was taken."""
        if changes != self._changes or not self._trusted():
            return
        self._drop(name)
        self._pages[name] = page
        self._weight += page.weight
        while self._weight > CACHE_BYTES:
            self._drop(next(iter(self._pages)))

    def forget(self, name: str) -> None:
        """A project changed."""
        self._changes += 1
        self._drop(NormalizedName(name))
        self._drop(PROJECT_LIST)

    def forget_all(self) -> None:
        """Anything may have changed."""
        self._changes += 1
        self._pages.clear()
        self._weight = 0

    def _drop(self, name: NormalizedName) -> None:
        if page := self._pages.pop(name, None):
            self._weight -= page.weight


class Pages:
    """Builds pages from rows, through the one verdict."""

    def __init__(self, pool: Pool, cache: PageCache, refresher: Refresher, *, freshness: float) -> None:
        self._pool = pool
        self._cache = cache
        self._refresher = refresher
        self._freshness = freshness

    def cached(self, name: NormalizedName) -> Page | None:
        """Return the page from memory; one that has grown old is refreshed behind the answer."""
        page = self._cache.get(name)
        if page is not None and name and time.monotonic() - page.built_at > self._freshness:
            page.built_at = time.monotonic()
            self._refresher.find_behind(name)
        return page

    async def project(self, name: NormalizedName) -> Page | None:
        """Return a project's page, or None where there is no such project. Raises `UpstreamError` or `Busy`."""
        if page := self.cached(name):
            return page
        project = await self._refresher.find(name)
        if project is None:
            return None
        changes = self._cache.changes
        # Read again: what was found before `changes` was taken may be old by now.
        page = await self._build(name)
        self._cache.put(name, page, changes)
        return page

    async def project_list(self) -> Page:
        """Return the list of all projects."""
        if page := self.cached(PROJECT_LIST):
            return page
        changes = self._cache.changes
        serial = await journal.select_serial(self._pool)
        names = await projects.select_project_names(self._pool)
        page = _page(
            serial, simple_json.render_project_list(names, serial), simple_html.render_project_list(names, serial)
        )
        self._cache.put(PROJECT_LIST, page, changes)
        return page

    async def _build(self, name: NormalizedName) -> Page:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            project = await projects.select_project(connection, name)
            assert project is not None
            known = await files.select_project_files(connection, name)
            policy = await load_policy(connection, project)
            now = await projects.select_now(connection)
        served = (item.file for item in known if verdict(item.file, item.standing, policy, now).served)
        page = ProjectPage(name, project.serial, tuple(served), project.status, project.status_reason)
        return _page(project.serial, simple_json.render_project(page), simple_html.render_project(page))


def _page(serial: Serial, json: bytes, html: bytes) -> Page:
    return Page(
        serial,
        {
            Form.JSON: Variant(json, _etag(json, "j")),
            Form.HTML: Variant(html, _etag(html, "h")),
            Form.TEXT_HTML: Variant(html, _etag(html, "t")),
        },
    )


def _etag(body: bytes, form: str) -> str:
    return hashlib.sha256(body).hexdigest()[:32] + form
