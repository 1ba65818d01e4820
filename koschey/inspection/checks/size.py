"""Whether a file is far larger or smaller, or contains far more or fewer files, than is usual for its project.

A file that has grown tenfold carries something new; one that has shrunk to a tenth has lost its purpose. Both often
have honest reasons, so a finding is only noted: it is a reason to look closer if another check holds the file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from koschey.inspection.checks.check import Code, FileFacts, Finding, FindingAction, Previous, Severity, content_of

SIZE, FILES = "size", "files"
TIMES = 5
LEAST = 3
"""Minimum number of files to compare with."""


class Size:
    """Compares the size of a file, and the number of files in it, with what is usual for the project."""

    name = "size"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        SIZE: Code(
            f"The file has more than {TIMES} times the usual bytes, or less than a {TIMES}th.",
            FindingAction.NOTE,
            Severity.WARNING,
        ),
        FILES: Code(
            f"The archive has more than {TIMES} times the usual number of files, or less than a {TIMES}th.",
            FindingAction.NOTE,
            Severity.WARNING,
        ),
    }

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Compare the file with the median of the project's files."""
        del path, previous
        content = content_of(facts)
        return [
            *_compare(SIZE, "bytes", facts.size, facts.family.sizes),
            *_compare(FILES, "files", content.files, facts.family.counts),
        ]


def _compare(code: str, unit: str, here: int, family: Sequence[int]) -> Iterator[Finding]:
    if len(family) < LEAST:
        return
    usual = median(family)
    if here > TIMES * usual or here * TIMES < usual:
        summary = f"it has {here} {unit}; {usual:g} are usual"
        yield Finding(code, Severity.WARNING, summary, {"here": here, "usual": usual, "of": len(family)})
