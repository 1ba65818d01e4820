"""Finding a file by a path of which there is no row yet, for the sake of lock files: its project's page is looked at.

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

LOOK_AGAIN = timedelta(seconds=10)
"""How old a look at a known project may be before an unknown path has it repeated."""
TRIED = 3
"""Projects that are tried for one path: a filename does not always say where the version begins."""
REMEMBERED = 10_000
"""Names of which a process remembers that their look failed."""


class ColdPaths:
    """Finds files by their paths. One per process."""

    def __init__(self, pool: Pool, refresher: Refresher) -> None:
        self._pool = pool
        self._refresher = refresher
        self._failures: dict[NormalizedName, tuple[float, KoscheyError]] = {}

    async def find(self, path: str) -> StandingFile | None:
        """Return the file under exactly this path, after a look at the pages that may list it; None where none does.

        Raises `UpstreamError` or `Busy` where a page cannot be looked at: the file may exist.
        """
        if not PUBLIC_INDEX_PATH.fullmatch(path):
            return None
        for place, name in enumerate(possible_projects(path.rpartition("/")[2])[:TRIED]):
            # Of names that are not known here only the most likely one is told to the upstream.
            if await self._look(name, may_be_new=place == 0):
                found = await files.select_file_by_path(self._pool, path)
                if found is not None:
                    return found
        return None

    async def _look(self, name: NormalizedName, *, may_be_new: bool) -> bool:
        """Look at a project's page, unless that was done just now; returns whether the project is an upstream's."""
        project = await projects.select_project(self._pool, name)
        if (project is None and not may_be_new) or (project and project.origin is not Origin.MIRRORED):
            return False
        self._raise_again(name)
        try:
            if project is None:
                return await self._refresher.find(name) is not None
            await self._refresher.look(name, since=await projects.select_now(self._pool) - LOOK_AGAIN)
        except (UpstreamError, EgressRefused) as error:
            self._remember(name, error)
            raise
        return True

    def _raise_again(self, name: NormalizedName) -> None:
        """Spare an upstream that has just failed: requests get the same answer for a while."""
        until, error = self._failures.get(name, (0.0, None))
        if error is not None and until > time.monotonic():
            raise error

    def _remember(self, name: NormalizedName, error: KoscheyError) -> None:
        if len(self._failures) >= REMEMBERED:
            self._failures.clear()
        self._failures[name] = (time.monotonic() + LOOK_AGAIN.total_seconds(), error)
