"""Feeds and statistics of the index, made once for all callers until something changes."""

import time
from collections.abc import Awaitable, Callable

import msgspec
from packaging.utils import NormalizedName

from koschey import addresses
from koschey.concurrency.flights import Flights
from koschey.db import feeds, journal, rules
from koschey.db.feeds import Novelty
from koschey.db.pool import Pool
from koschey.mirror.refresh import Refresher
from koschey.model import Serial
from koschey.serving.documents import Document, document_of
from koschey.serving.served import Served
from koschey.standards.feeds import Item, RssFeed, render_feed
from koschey.standards.project_json import releases_of
from koschey.standards.project_page import ProjectPage

PROJECTS = 40
RELEASES = 100
RELEASES_OF_PROJECT = 40
LARGEST = 100
REST = 20.0
"""Statistics are served unchanged for this multiple of the time to make them, because they read every file's row."""


class Surveys:
    """Feeds and statistics of one index. One per process."""

    def __init__(self, pool: Pool, refresher: Refresher, served: Served) -> None:
        self._pool = pool
        self._refresher = refresher
        self._served = served
        self._own_addresses = served.own_addresses
        self._documents: dict[str, Document] = {}
        self._making = Flights[str, Document]()
        self._rested_at = 0.0

    async def newest_projects(self) -> Document:
        """Return the feed of the projects that the index began to serve most recently."""
        return await self._current("projects", self._projects)

    async def newest_releases(self) -> Document:
        """Return the feed of the releases that the index began to serve most recently."""
        return await self._current("releases", self._releases)

    async def project_releases(self, name: NormalizedName) -> Document | None:
        """Return the feed of a project's releases, the newest first, or None if none of its files is served.

        Raises `UpstreamError` or `Busy` if the first refresh of a project fails.
        """
        if await self._refresher.find(name) is None:
            return None
        page = await self._served.load(name)
        if page is None or not page.files:
            return None
        title = f"Releases of {name}"
        feed = RssFeed(title, self._page_of(name), title, self._items(page))
        return document_of(page.serial, render_feed(feed))

    async def sizes(self) -> Document:
        """Return the sizes of the largest projects, and the total size of all, in bytes."""
        stored = self._documents.get("sizes")
        if stored is not None and time.monotonic() <= self._rested_at:
            return stored
        return await self._making.join("sizes", self._measure)

    async def close(self) -> None:
        """Cancel the work in progress."""
        await self._making.close()

    async def _current(self, key: str, build: Callable[[], Awaitable[bytes]]) -> Document:
        """Return the stored document, or make it again if a change was committed or a rule has expired since."""
        serial = await journal.select_serial(self._pool)
        document = self._find(key, serial) or await self._making.join(key, lambda: self._make(key, build))
        if document.serial >= serial:
            return document
        # Its making began before the last commit that this client may know of.
        return self._find(key, serial) or await self._making.join(key, lambda: self._make(key, build))

    def _find(self, key: str, serial: Serial) -> Document | None:
        stored = self._documents.get(key)
        return stored if stored and stored.serial >= serial and time.monotonic() < stored.expires_at else None

    async def _make(self, key: str, build: Callable[[], Awaitable[bytes]]) -> Document:
        serial, begun = await journal.select_serial(self._pool), time.monotonic()
        lasts = await rules.select_seconds_left(self._pool)
        made = self._documents[key] = document_of(serial, await build())
        made.expires_at = begun + lasts
        return made

    async def _projects(self) -> bytes:
        found = await feeds.select_newest_projects(self._pool, limit=PROJECTS)
        items = [Item(each.project, self._page_of(each.project), each.summary or "", each.at) for each in found]
        return render_feed(RssFeed("Newest projects", self._list, "Projects that are served here now", items))

    async def _releases(self) -> bytes:
        found = await feeds.select_newest_releases(self._pool, limit=RELEASES)
        items = [self._item(each) for each in found]
        return render_feed(RssFeed("Newest releases", self._list, "Releases that are served here now", items))

    def _item(self, release: Novelty) -> Item:
        assert release.version is not None
        link = self._release_of(release.project, release.version)
        return Item(f"{release.project} {release.version}", link, release.summary or "", release.at)

    def _items(self, page: ProjectPage) -> list[Item]:
        """Return the releases by upload time: all releases older than the mirror became known at the same time."""
        releases = {
            version: min(file.upload_time or file.first_seen_at for file in files)
            for version, files in releases_of(page.files).items()
        }
        newest = sorted(releases.items(), key=lambda release: release[1], reverse=True)
        return [
            Item(f"{page.name} {version}", self._release_of(page.name, version), "", at)
            for version, at in newest[:RELEASES_OF_PROJECT]
        ]

    async def _measure(self) -> Document:
        begun = time.monotonic()
        measured = self._documents["sizes"] = await self._sizes()
        self._rested_at = time.monotonic() + REST * (time.monotonic() - begun)
        return measured

    async def _sizes(self) -> Document:
        serial = await journal.select_serial(self._pool)
        sizes = await feeds.select_sizes(self._pool, limit=LARGEST)
        largest = {name: {"size": size} for name, size in sizes.largest.items()}
        return document_of(serial, msgspec.json.encode({"top_packages": largest, "total_packages_size": sizes.total}))

    @property
    def _list(self) -> str:
        return self._own_addresses.absolute(addresses.PROJECT_LIST)

    def _page_of(self, project: NormalizedName) -> str:
        return self._own_addresses.absolute(addresses.project_page(project))

    def _release_of(self, project: NormalizedName, version: str) -> str:
        return self._own_addresses.absolute(addresses.release_json(project, version))
