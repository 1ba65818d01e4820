"""Chooses the file of an earlier release to compare with: the nearest kind and tags of the nearest lower version."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from koschey.model import File, StandingFile, State
from koschey.standards.versions import parse_version_or_none

WHEEL = ".whl"


def predecessors(file: File, known: Iterable[StandingFile]) -> Iterator[File]:
    """Yield one released file of each lower version that has a file of the same kind, the highest version first.

    If no lower version has a wheel, a wheel is compared with sdists.
    """
    version, is_wheel = _version(file), _is_wheel(file)
    if version is None:
        return
    below = defaultdict[Version, list[File]](list)
    for item in known:
        found = _version(item.file) if item.standing.state is State.RELEASED else None
        if found is not None and found < version:
            below[found].append(item.file)
    newest_first = [below[found] for found in sorted(below, reverse=True)]
    same_kind = [there for files in newest_first if (there := [one for one in files if _is_wheel(one) is is_wheel])]
    for there in same_kind:
        yield _nearest(file, there)
    if is_wheel and not same_kind:
        for there in newest_first:
            yield there[0]


def newest_released(file: File, known: Iterable[StandingFile], limit: int) -> list[File]:
    """Return at most `limit` released files of the same kind and of other versions, the newest first."""
    released = [
        item.file
        for item in known
        if item.standing.state is State.RELEASED
        and _is_wheel(item.file) is _is_wheel(file)
        and item.file.version != file.version
    ]
    newest = sorted(released, key=lambda one: (one.upload_time or one.first_seen_at, one.id), reverse=True)
    return newest[:limit]


def _nearest(file: File, there: Sequence[File]) -> File:
    tags = _tags(file)
    return max(there, key=lambda one: (len(tags & _tags(one)), _likeness(tags, _tags(one)), one.filename))


def _likeness(here: frozenset[Tag], there: frozenset[Tag]) -> int:
    """Rate how similar unequal tags are: the same platform for another Python is nearer than another platform."""
    return max(
        (
            (a.interpreter == b.interpreter) + (a.abi == b.abi) + 2 * (a.platform == b.platform)
            for a in here
            for b in there
        ),
        default=0,
    )


def _tags(file: File) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(file.filename)[3]
    except InvalidWheelFilename:
        return frozenset()


def _is_wheel(file: File) -> bool:
    return file.filename.endswith(WHEEL)


def _version(file: File) -> Version | None:
    return parse_version_or_none(file.version)
