"""Divides an upstream's page into portions that one transaction writes.

Missing files come first, then changed files, then new files release by release, the oldest release first. If an intake
is interrupted, the project is as the upstream had it some time ago. No release is incomplete then, unless it has more
files than one portion.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from koschey.db.pool import Connection
from koschey.db.record import Record
from koschey.db.refreshes import Facts, select_facts
from koschey.model import Absence, Project, ProjectStatus, StandingFile, UpstreamFile, UpstreamPage
from koschey.policy.verdict import Policy
from koschey.standards.names import public_path

PORTION = 1000
"""Maximum number of files in one transaction. It takes some tenths of a second, on a busy machine 1 or 2 seconds."""
EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Portion:
    """The files of a page that one transaction writes."""

    missing: Sequence[str] = ()
    """Filenames that the page no longer lists."""
    listed: Sequence[UpstreamFile] = ()
    """Existing files about which the page states something else than before."""
    new: Sequence[UpstreamFile] = ()
    is_first: bool = False
    is_last: bool = False

    @property
    def filenames(self) -> list[str]:
        """The names of all files in the portion."""
        return [*self.missing, *(file.filename for file in (*self.listed, *self.new))]

    @property
    def paths(self) -> list[str]:
        """The public paths of the new files, as far as the page gives them."""
        return [path for file in self.new if (path := path_of(file))]


@dataclass
class PortionTransaction:
    """What the steps of one portion share: the connection, whose transaction locks the project, and the record."""

    connection: Connection
    project: Project
    now: datetime
    record: Record
    portion: Portion
    _facts: Facts | None = None

    async def facts(self) -> Facts:
        """Return what decides about the files of the portion. It is read once and only if it is needed."""
        if self._facts is None:
            portion = self.portion
            self._facts = await select_facts(self.connection, self.project, portion.filenames, portion.paths)
        return self._facts

    async def policy(self) -> Policy:
        """Return the project's policy."""
        return (await self.facts()).policy


def divide(
    page: UpstreamPage, known: Mapping[str, StandingFile], read_at: datetime, absence: Absence | None = None
) -> list[Portion]:
    """Return the portions of a page, at least one, in the order in which they must be written.

    `absence` is the state of the absence if the whole page is absent. While it is only suspected, no file counts as
    missing.
    """
    listed = {file.filename: file for file in page.files}
    new = [file for name, file in listed.items() if name not in known]
    changed = [file for name, file in listed.items() if name in known and _is_changed(known[name], file)]
    # An upstream may list no files of a project that it has quarantined (PEP 792): none of them counts as missing.
    is_whole = page.status is not ProjectStatus.QUARANTINED and (absence is None or absence.is_confirmed)
    missing = [
        name for name, item in known.items() if is_whole and name not in listed and _is_news(item, read_at, absence)
    ]
    if len(new) + len(changed) + len(missing) <= PORTION:
        return [Portion(missing, changed, new, is_first=True, is_last=True)]
    portions = [
        *(Portion(missing=part) for part in _cut(missing)),
        *(Portion(listed=part) for part in _cut(changed)),
        *(Portion(new=part) for part in _by_release(new)),
    ]
    portions[0] = replace(portions[0], is_first=True)
    portions[-1] = replace(portions[-1], is_last=True)
    return portions


def path_of(file: UpstreamFile) -> str | None:
    """Return the public path of a new file.

    A file without a version is never served, and must not occupy the path of a file that is served.
    """
    return public_path(file.url, file.filename, file.sha256) if file.version else None


def conflicts(known: StandingFile, file: UpstreamFile) -> bool:
    """Return whether a page lists other bytes under an existing filename."""
    return file.sha256 is not None and known.file.sha256 is not None and file.sha256 != known.file.sha256


def listing_changed(known: StandingFile, file: UpstreamFile) -> bool:
    """Return whether a page states something else about a file than its row."""
    back = known.file.absent_since is not None
    return back or known.file.upstream_url != file.url or page_changed(known, file)


def page_changed(known: StandingFile, file: UpstreamFile) -> bool:
    """Return whether Koschey's own page of the project must change for a file."""
    gained = known.file.core_metadata is None and file.core_metadata not in (None, known.file.broken_promise)
    proved = known.file.provenance_url != file.provenance_url
    return gained or proved or known.file.yanked != file.yanked


def _is_changed(known: StandingFile, file: UpstreamFile) -> bool:
    return conflicts(known, file) or listing_changed(known, file)


def _is_news(item: StandingFile, read_at: datetime, page: Absence | None) -> bool:
    """Return whether it is new information that a file is missing at `read_at`."""
    absence = item.file.absence
    if absence is None or absence.due_at is None:
        return absence is None
    return page is not None or absence.due_at <= read_at


def _cut[T](items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + PORTION] for start in range(0, len(items), PORTION))


def _by_release(new: Iterable[UpstreamFile]) -> Iterator[Sequence[UpstreamFile]]:
    """Yield new files in portions; a release is divided only if it does not fit into one portion."""
    releases: dict[str | None, list[UpstreamFile]] = {}
    for file in new:
        releases.setdefault(file.version, []).append(file)
    part: list[UpstreamFile] = []
    for release in sorted(releases.values(), key=_uploaded_at):
        if part and len(part) + len(release) > PORTION:
            yield from _cut(part)
            part = []
        part += release
    yield from _cut(part)


def _uploaded_at(release: Sequence[UpstreamFile]) -> datetime:
    """Return when the last file of a release was uploaded; if a page states no times, its order is kept."""
    return max(file.upload_time or EARLIEST for file in release)
