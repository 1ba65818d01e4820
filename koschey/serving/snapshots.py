"""What a web process keeps of a project: its page, and the files that the verdict serves, by their public paths.

Both come from one reading of the rows, so that a page and its files agree. A snapshot is kept as `serving.cache` keeps
everything about a project.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.model import AttestationVerdict, File, Sha256
from koschey.serving.cache import ProjectCache
from koschey.serving.encoded import EncodedPage

FILE = 1500
"""Estimated bytes of memory for one file."""


class Provenance(NamedTuple):
    """The provenance object of a file (PEP 740)."""

    digest: Sha256
    """SHA-256 of the object."""
    verdict: AttestationVerdict


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A project as it is served until the next change, or until `expires_at`."""

    page: EncodedPage
    files: dict[str, File] = field(default_factory=dict)
    """The served files by their public paths."""
    provenance: dict[tuple[str, str], Provenance] = field(default_factory=dict)
    """Provenance objects that clients have requested, by the versions and names of their files."""

    @property
    def weight(self) -> int:
        """Estimated bytes of memory."""
        return self.page.weight + FILE * len(self.files)

    @property
    def expires_at(self) -> float:
        """The time, by `time.monotonic`, until which the verdicts hold unless something is changed."""
        return self.page.expires_at


class SnapshotCache(ProjectCache[Snapshot]):
    """Snapshots by project, and the projects by the paths of their files."""

    def __init__(self, trusted: Callable[[], bool], *, limit: int) -> None:
        super().__init__(trusted, limit=limit)
        self._projects: dict[str, NormalizedName] = {}

    def find_project(self, path: str) -> NormalizedName | None:
        """Return the project with a snapshot in which a file has this path, or None."""
        return self._projects.get(path)

    def put(self, name: NormalizedName, built: Snapshot, changes: int, key: str = "") -> None:
        """Store a snapshot as `ProjectCache.put` does."""
        for replaced in self._values.get(name, {}).values():
            self._forget_paths(replaced)
        super().put(name, built, changes, key)
        for kept in self._values.get(name, {}).values():
            self._projects.update(dict.fromkeys(kept.files, name))

    def forget_all(self) -> None:
        """Remove all snapshots."""
        super().forget_all()
        self._projects.clear()

    def _drop(self, name: NormalizedName) -> None:
        for snapshot in self._values.get(name, {}).values():
            self._forget_paths(snapshot)
        super()._drop(name)

    def _forget_paths(self, snapshot: Snapshot) -> None:
        for path in snapshot.files:
            self._projects.pop(path, None)
