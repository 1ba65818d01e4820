"""Finds a file by a path that has no row yet, for lock files: refreshes the page of its project.

A client may know a path before this index does: from a lock that was made elsewhere, or from a newer page.
"""

import time
from datetime import timedelta

from packaging.utils import NormalizedName

from koschey.db import files, projects
from koschey.db.pool import Pool
from koschey.errors import EgressRefused, KoscheyError, UpstreamError
from koschey.mirror.refresh import Refresher
from koschey.model import Origin, StandingFile
from koschey.standards.names import PUBLIC_INDEX_PATH, possible_projects

REFRESH_AGAIN = timedelta(seconds=10)
"""How old the last refresh of a project may be before an unknown path causes another."""
TRIED = 3
"""Maximum number of projects to try for one path: a filename may not show where the version begins."""
REMEMBERED = 10_000
"""Maximum number of names for which a process remembers a failed refresh."""


class ColdPaths:
    """Finds files by their paths. One per process."""

    def __init__(self, pool: Pool, refresher: Refresher) -> None:
        self._pool = pool
        self._refresher = refresher
        self._failures: dict[NormalizedName, tuple[float, KoscheyError]] = {}

    async def find(self, path: str) -> StandingFile | None:
        """Refresh the pages that may list this exact path. Returns the file, or None if no page lists it.

        Raises `UpstreamError`, `EgressRefused` or `Busy` if a page cannot be refreshed: the file may exist.
        """
        if not PUBLIC_INDEX_PATH.fullmatch(path):
            return None
        for place, name in enumerate(possible_projects(path.rpartition("/")[2])[:TRIED]):
            # Of the names without a row, Koschey requests only the most likely one from the upstream.
            if await self._refresh(name, may_be_new=place == 0):
                found = await files.select_file_by_path(self._pool, path)
                if found is not None:
                    return found
        return None

    async def _refresh(self, name: NormalizedName, *, may_be_new: bool) -> bool:
        """Refresh a project's page unless it was refreshed just now. Returns whether the project is mirrored."""
        project = await projects.select_project(self._pool, name)
        if (project is None and not may_be_new) or (project and project.origin is not Origin.MIRRORED):
            return False
        self._raise_again(name)
        try:
            if project is None:
                return await self._refresher.find(name) is not None
            await self._refresher.refresh(name, since=await projects.select_now(self._pool) - REFRESH_AGAIN)
        except (UpstreamError, EgressRefused) as error:
            self._remember(name, error)
            raise
        return True

    def _raise_again(self, name: NormalizedName) -> None:
        """Raise a recent failure again for a while, to spare an upstream that has just failed."""
        until, error = self._failures.get(name, (0.0, None))
        if error is not None and until > time.monotonic():
            raise error

    def _remember(self, name: NormalizedName, error: KoscheyError) -> None:
        if len(self._failures) >= REMEMBERED:
            self._failures.clear()
        self._failures[name] = (time.monotonic() + REFRESH_AGAIN.total_seconds(), error)
