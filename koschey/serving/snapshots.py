"""What a web process keeps of a project: its page, and the files that the verdict serves, by their public paths.

Both come from one reading of the rows, so that a page and its files agree. A snapshot is kept as `serving.cache` keeps
everything about a project.

A stored file changes no verdict, and of its page only the file's PEP 710 record and the time at which it was stored.
So the snapshot stays: the process that stored the file corrects it in place, and the page follows.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.model import AttestationVerdict, File, Sha256
from koschey.serving.cache import REMEMBERED, LastChanges, ProjectCache
from koschey.serving.encoded import EncodedPage
from koschey.standards.project_page import ProjectPage

FILE = 1500
"""Estimated bytes of memory for one file."""


class Provenance(NamedTuple):
    """The provenance object of a file (PEP 740)."""

    digest: Sha256
    """SHA-256 of the object."""
    verdict: AttestationVerdict


@dataclass(slots=True)
class Snapshot:
    """A project as it is served until the next change, or until `expires_at`."""

    page: EncodedPage
    files: dict[str, File] = field(default_factory=dict)
    """The served files by their public paths."""
    provenance: dict[tuple[str, str], Provenance] = field(default_factory=dict)
    """Provenance objects that clients have requested, by the versions and names of their files."""
    source: ProjectPage | None = None
    """What the page was rendered from; None for the page of a name without a project."""
    lacks_records: bool = False
    """Whether the page lacks the record of a file that was stored since."""
    missing: set[str] = field(default_factory=set)
    """The paths of files that were stored and whose records are not in `files`."""
    is_outdated: bool = False
    """Whether more files may have been stored since the rows were read."""
    completed_at: float = -math.inf
    """When rows were last read because the page lacked records, by `time.monotonic`."""
    as_of: int = 0
    """The number of the last change before the rows were read."""

    @property
    def current(self) -> ProjectPage | None:
        """What the page would be rendered from now."""
        if self.source is None:
            return None
        return replace(self.source, files=tuple(self.files.get(file.path or "", file) for file in self.source.files))

    def correct(self, stored: File) -> None:
        """Correct a file in place, because this process stored it or read that it is stored."""
        known = self.files.get(stored.path or "")
        if known is None or known.path is None or known.stored_at is not None or not _has_same_bytes(known, stored):
            return
        self.missing.discard(known.path)
        self.files[known.path] = replace(
            known, stored_at=stored.stored_at, metadata_stored=stored.metadata_stored, record=stored.record
        )
        self.lacks_records = True

    def miss(self, path: str) -> None:
        """Note that a process stored a file, whose record is not known here: not yet, or because it is another one."""
        known = self.files.get(path)
        is_announced = self.source is not None and any(file.path == path for file in self.source.announced)
        if is_announced or (known is not None and known.stored_at is None):
            self.missing.add(path)
            self.lacks_records = True

    @property
    def has_records(self) -> bool:
        """Whether `files` have all records, also those that the page lacks."""
        return not self.missing and not self.is_outdated

    @property
    def weight(self) -> int:
        """Estimated bytes of memory."""
        return self.page.weight + FILE * len(self.files)

    @property
    def expires_at(self) -> float:
        """The time, by `time.monotonic`, until which the verdicts hold unless something is changed."""
        return self.page.expires_at


def _has_same_bytes(known: File, stored: File) -> bool:
    """Return whether both are one file with the same bytes. If another fact has changed, the page is built again."""
    facts = (known.sha256, known.size, known.core_metadata)
    return known.id == stored.id and facts == (stored.sha256, stored.size, stored.core_metadata)


class Heard(NamedTuple):
    """The last notification of a change of a project."""

    number: int
    """The number of the change."""
    before: int
    """The number of the change before it."""
    sender: int
    """The process id of the connection that made it."""


class SnapshotCache(ProjectCache[Snapshot]):
    """Snapshots by project, and the projects by the paths of their files."""

    def __init__(self, trusted: Callable[[], bool], *, limit: int) -> None:
        super().__init__(trusted, limit=limit)
        self._projects: dict[str, NormalizedName] = {}
        self._stored = LastChanges()
        self._heard: OrderedDict[NormalizedName, Heard] = OrderedDict()
        self._expected: dict[NormalizedName, int] = {}

    def find_project(self, path: str) -> NormalizedName | None:
        """Return the project with a snapshot in which a file has this path, or None."""
        return self._projects.get(path)

    def stored(self, name: NormalizedName) -> int:
        """Return the number, among those of changes, of the last file that may have been stored of this project."""
        return self._stored.of(name)

    def correct(self, stored: File) -> None:
        """Note that this process stored a file, or read that it is stored."""
        self._note_stored(stored.project)
        if snapshot := self.peek(stored.project):
            snapshot.correct(stored)

    def hear_stored(self, name: NormalizedName, path: str) -> None:
        """Note that a process, perhaps this one, stored the file with this path."""
        snapshot = self.peek(name)
        known = snapshot.files.get(path) if snapshot else None
        if known is not None and known.stored_at is not None:
            return  # by this process, or the snapshot was built since
        self._note_stored(name)
        if snapshot is not None:
            snapshot.miss(path)

    def hear_changed(self, name: str, sender: int) -> None:
        """Note a change of a project, or, if `name` is a scope, of many; `sender` is the connection that made it.

        A snapshot that was built from what this very change wrote stays.
        """
        project = NormalizedName(name)
        before, is_own = self.changed(project), self._expected.pop(project, None) == sender
        if is_own:
            self._changes += 1
            self._changed.note(project, self._changes)
            return
        self.forget(name)
        self._heard[project] = Heard(self._changes, before, sender)
        self._heard.move_to_end(project)
        if len(self._heard) > REMEMBERED:
            self._heard.popitem(last=False)

    def put_first(self, name: NormalizedName, built: Snapshot, changes: int, writer: int) -> None:
        """Store the snapshot of a project that the connection `writer` of this process has just added.

        The notification of that change removes it neither before nor after this call. `changes` was read before.
        """
        last, heard = self.changed(name), self._heard.get(name)
        if last <= changes:
            self.put(name, built, changes)
            if self.peek(name) is built:
                self._expected[name] = writer
        elif heard is not None and heard.number == last and heard.before <= changes and heard.sender == writer:
            self.put(name, built, last)

    def _note_stored(self, name: NormalizedName) -> None:
        self._changes += 1
        self._stored.note(name, self._changes)

    def put(self, name: NormalizedName, built: Snapshot, changes: int, key: str = "") -> None:
        """Store a snapshot as `ProjectCache.put` does, unless a newer one is kept.

        It may lack records of files that were stored while it was built.
        """
        present, built.as_of = self.peek(name, key), changes
        if present is not None and present.as_of > changes:
            return
        if self.stored(name) > changes:
            built.lacks_records = built.is_outdated = True
        for replaced in self._values.get(name, {}).values():
            self._forget_paths(replaced)
        super().put(name, built, changes, key)
        for kept in self._values.get(name, {}).values():
            self._projects.update(dict.fromkeys(kept.files, name))

    def forget_all(self) -> None:
        """Remove all snapshots."""
        super().forget_all()
        self._projects.clear()
        self._heard.clear()
        self._expected.clear()

    def _drop(self, name: NormalizedName) -> None:
        for snapshot in self._values.get(name, {}).values():
            self._forget_paths(snapshot)
        super()._drop(name)

    def _forget_paths(self, snapshot: Snapshot) -> None:
        for path in snapshot.files:
            self._projects.pop(path, None)
