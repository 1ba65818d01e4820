"""Builds the snapshot of a project once per change, from the files that the verdict serves, and keeps it in memory.

A snapshot that was built while its project changed is used once and not kept.

A page may lack the PEP 710 record of a file that was stored less than `SPACING` seconds ago.
"""

import asyncio
import time
from dataclasses import replace
from functools import partial

from packaging.utils import NormalizedName

from koschey.addresses import held_project, relative
from koschey.concurrency.flights import Flights
from koschey.db import journal
from koschey.db.pool import Pool
from koschey.db.projects import select_now
from koschey.db.rules import select_rules
from koschey.mirror.first_page import Sight
from koschey.mirror.refresh import Refresher
from koschey.model import File, ProjectStatus
from koschey.policy.rules import CLOSING
from koschey.serving.encoded import EncodedPage, page_of
from koschey.serving.project_list import ProjectList
from koschey.serving.served import Served, seconds_left
from koschey.serving.snapshots import Provenance, Snapshot, SnapshotCache
from koschey.standards import simple_html, simple_json
from koschey.standards.project_page import ProjectPage

RENDER_IN_THREAD = 500
"""Number of files above which a page is rendered in a thread, so that other requests continue."""
SPACING = 1.0
"""Minimum number of seconds between two readings of a project's rows for nothing but records of stored files.

Meanwhile its page lacks them, unless it is so small that this process renders it from memory."""


class Pages:
    """Builds pages, and the snapshots that they belong to, from the rows of files that the verdict serves."""

    def __init__(
        self,
        pool: Pool,
        cache: SnapshotCache,
        refresher: Refresher,
        project_list: ProjectList,
        served: Served,
        *,
        freshness: float,
    ) -> None:
        self._pool = pool
        self._cache = cache
        self._refresher = refresher
        self._list = project_list
        self._freshness = freshness
        self._served = served
        self._behind = Flights[NormalizedName, EncodedPage | None]()
        self._building = Flights[tuple[NormalizedName, int, int, int, float | None], Snapshot]()

    def cached(self, name: NormalizedName) -> EncodedPage | None:
        """Return the page from memory, or None. The project of an old page is refreshed in the background."""
        snapshot = self._cached(name)
        if snapshot is not None and snapshot.lacks_records:
            return self._completed(name, snapshot)
        return snapshot.page if snapshot else None

    def cached_file(self, path: str) -> File | None:
        """Return the served file with this path from memory, or None. Refreshes its project as `cached` does."""
        name = self._cache.find_project(path)
        snapshot = self._cached(name) if name else None
        return snapshot.files.get(path) if snapshot else None

    def distrust(self, name: NormalizedName) -> None:
        """Drop the snapshot of a project: PostgreSQL says that a file in it is no longer served."""
        self._cache.distrust(name)

    def cached_provenance(self, path: str) -> Provenance | None:
        """Return the provenance of a served file from memory, by `/integrity/<project>/<version>/<file>/provenance`."""
        parts = path.split("/")
        if len(parts) != 6 or parts[5] != "provenance":
            return None
        snapshot = self._cached(NormalizedName(parts[2]))
        return snapshot.provenance.get((parts[3], parts[4])) if snapshot else None

    def note_metadata_stored(self, file: File) -> None:
        """Note that the core metadata of a file is stored now. That changes no page, so no process is notified."""
        if found := self._find_snapshot(file):
            snapshot, known = found
            if known.path and known.core_metadata == file.core_metadata:
                snapshot.files[known.path] = replace(known, metadata_stored=True)

    def note_provenance(self, file: File, provenance: Provenance) -> None:
        """Note what was read of a file's provenance. A change of it is notified, and drops the snapshot."""
        if found := self._find_snapshot(file):
            snapshot, known = found
            snapshot.provenance[known.version, known.filename] = provenance

    def _find_snapshot(self, file: File) -> tuple[Snapshot, File] | None:
        """Return the snapshot that serves a file, and the file in it."""
        snapshot = self._cache.get(file.project)
        known = snapshot.files.get(file.path or "") if snapshot else None
        return (snapshot, known) if snapshot and known else None

    def build_in_background(self, name: NormalizedName) -> None:
        """Build the snapshot of a project of which a client has requested a file, unless there is one."""
        if self._cached(name) is None:
            self._behind.begin(name, lambda: self.project(name))

    def cached_list(self) -> EncodedPage | None:
        """Return the project list from memory, or None if it is too old."""
        return self._list.cached()

    async def close(self) -> None:
        """Cancel the work in progress."""
        await self._behind.close()
        await self._building.close()
        await self._list.close()

    async def project_list(self) -> EncodedPage:
        """Return the list of all projects."""
        return await self._list.get()

    async def project(self, name: NormalizedName) -> EncodedPage | None:
        """Return a project's page, or None if there is no such project. Raises `UpstreamError` or `Busy`."""
        if page := self.cached(name):
            return page
        changes = self._cache.changes
        project, sight = await self._refresher.see(name)
        if project is not None and sight is not None:
            snapshot = await self._build(name, sight=sight)
            if sight.writer is not None:
                self._cache.put_first(name, snapshot, changes, sight.writer)
            return snapshot.page
        if project is not None:
            # This reads the rows again: what was read before this line may be outdated.
            return await self._rebuild(name)
        page = await self._closed(name)
        if page is not None:
            self._cache.put(name, Snapshot(page), changes)
        return page

    async def project_below(self, name: NormalizedName, depth: int) -> EncodedPage | None:
        """Return a page for another URL than its own, `depth` folders below the root. The page is not kept.

        Raises as `project` does.
        """
        if await self._refresher.find(name) is None:
            return await self._closed(name)
        return (await self._build(name, depth)).page

    def _completed(self, name: NormalizedName, snapshot: Snapshot) -> EncodedPage | None:
        """Return a page that lacks records: with them if this process has them, or as it is; None to read the rows."""
        current = snapshot.current
        if snapshot.has_records and current is not None and len(current.files) <= RENDER_IN_THREAD:
            page = _render(current)
            page.expires_at, page.built_at = snapshot.page.expires_at, snapshot.page.built_at
            completed = replace(snapshot, page=page, source=current, lacks_records=False)
            self._cache.put(name, completed, self._cache.changes)
            return page
        return snapshot.page if time.monotonic() - snapshot.completed_at < SPACING else None

    async def _rebuild(self, name: NormalizedName) -> EncodedPage:
        before, changes = self._cache.peek(name), self._cache.changes
        snapshot = await self._build(name)
        if before is not None:
            snapshot.completed_at = time.monotonic() if before.lacks_records else before.completed_at
        self._cache.put(name, snapshot, changes)
        return snapshot.page

    def _cached(self, name: NormalizedName) -> Snapshot | None:
        snapshot = self._cache.get(name)
        if snapshot is not None and time.monotonic() - snapshot.page.built_at > self._freshness:
            snapshot.page.built_at = time.monotonic()
            self._refresher.find_in_background(name)
        return snapshot

    async def _closed(self, name: NormalizedName) -> EncodedPage | None:
        """Return the page of a blocked or reserved name that has no project here, so that it is never a 404."""
        begun, now = time.monotonic(), await select_now(self._pool)
        rules = await select_rules(self._pool, name)
        rule = rules.find_project_wide(*CLOSING)
        if rule is None:
            return None
        serial, reason = await journal.select_serial(self._pool), f"{rule.kind}: {rule.reason}"
        page = _render(ProjectPage(name, serial, (), ProjectStatus.QUARANTINED, reason))
        page.expires_at = begun + seconds_left(rules, now)
        return page

    async def _build(self, name: NormalizedName, depth: int = 2, sight: Sight | None = None) -> Snapshot:
        """Return the current snapshot, built once for all callers between two changes.

        With `sight`, it is built from what has just been written, once for all callers that waited for that.
        """
        key = name, depth, self._cache.changed(name), self._cache.stored(name), sight.begun if sight else None
        return await self._building.join(key, lambda: self._build_once(name, depth, sight))

    async def _build_once(self, name: NormalizedName, depth: int, sight: Sight | None) -> Snapshot:
        # Taken before PostgreSQL's clock is read, so that the page expires a little too soon rather than too late.
        begun = sight.begun if sight else time.monotonic()
        served = await self._served.load(name, sight)
        assert served is not None
        served = replace(served, depth=depth)
        page = await asyncio.to_thread(_render, served) if len(served.files) > RENDER_IN_THREAD else _render(served)
        page.expires_at = begun + served.lasts
        return Snapshot(page, {file.path: file for file in served.files if file.path}, source=served)


def _render(page: ProjectPage) -> EncodedPage:
    rendered = page_of(page.serial, simple_json.render_project(page), partial(simple_html.render_project, page))
    if page.held:
        # RFC 8288: the link shows a client that misses a version why it is not listed.
        story = relative(held_project(page.name), page.depth)
        rendered.headers = {"X-Koschey-Held": str(page.held), "Link": f'<{story}>; rel="help"'}
    return rendered
