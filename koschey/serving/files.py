"""Finds files that clients request, by path or by release and filename, and whether they are served now."""

from dataclasses import dataclass

from packaging.utils import NormalizedName

from koschey.db import files, projects
from koschey.db.attestations import select_file_id
from koschey.db.policies import load_policy
from koschey.db.pool import Pool
from koschey.mirror.cold_paths import ColdPaths
from koschey.mirror.refresh import Refresher
from koschey.model import File, StandingFile
from koschey.policy.verdict import verdict
from koschey.standards.versions import normalise_version


@dataclass(frozen=True, slots=True)
class JudgedFile:
    """A file that this index has, and whether it is served now."""

    item: StandingFile
    served: bool

    @property
    def file(self) -> File:
        """The file without its state."""
        return self.item.file


@dataclass(frozen=True, slots=True)
class JudgedFiles:
    """Finds files and judges them. One per process."""

    pool: Pool
    refresher: Refresher
    cold_paths: ColdPaths

    async def at(self, path: str) -> JudgedFile | None:
        """Return the file under exactly this path, which may be newer than the rows of its project.

        Raises as `ColdPaths.find` does.
        """
        item = await files.select_file_by_path(self.pool, path) or await self.cold_paths.find(path)
        return await self._judge(item) if item else None

    async def project_at(self, path: str) -> NormalizedName | None:
        """Return the project of the file under exactly this path; None if the file has no row."""
        item = await files.select_file_by_path(self.pool, path)
        return item.file.project if item else None

    async def of_release(self, project: NormalizedName, version: str, filename: str) -> JudgedFile | None:
        """Return a file of a release. A project without a row is first refreshed from its upstream.

        Raises as `Refresher.find` does.
        """
        if await self.refresher.find(project) is None:
            return None
        found = await select_file_id(self.pool, project, filename)
        item = await files.select_file(self.pool, found) if found is not None else None
        return await self._judge(item) if item and normalise_version(version) == item.file.version else None

    async def _judge(self, item: StandingFile) -> JudgedFile:
        project = await projects.select_project(self.pool, item.file.project)
        assert project is not None
        policy, now = await load_policy(self.pool, project), await projects.select_now(self.pool)
        self.refresher.keep_fresh(project, now)
        return JudgedFile(item, verdict(item.file, item.standing, policy, now).served)
