"""Rules about archives that only some systems handle well. What no system can handle has no switch."""

from collections.abc import Callable, Iterator, Sequence

from koschey.hosting.upload_rules.rule import UploadRule
from koschey.inspection.archives.faults import ArchiveFault, Tolerated


def _of(kind: Tolerated) -> Callable[[Sequence[ArchiveFault]], Iterator[str]]:
    """Return the check for one kind of fault; the child that read the archive has found the faults."""

    def check(faults: Sequence[ArchiveFault]) -> Iterator[str]:
        return (fault.text for fault in faults if fault.rule == kind)

    return check


RULES: tuple[UploadRule[Sequence[ArchiveFault]], ...] = (
    UploadRule(
        Tolerated.CASE_TWINS,
        "No two files of a wheel have names that differ only in case.",
        _of(Tolerated.CASE_TWINS),
        default=False,
        why="on Linux they are two files, and kernel headers have such names; on Windows and macOS one is lost",
    ),
    UploadRule(
        Tolerated.SCRIPT_NAME,
        "Names of scripts consist of letters, digits, '_', '-' and '.'.",
        _of(Tolerated.SCRIPT_NAME),
        default=False,
        why="the specification only recommends it, and compilers have names such as g++",
    ),
)
"""In the order in which they are tried; add one here."""
