"""A requirements file as pip reads it, as far as it pins something: continued lines, comments, `-r`, `-c`, `--hash`.

pip's own parser is none of its public parts.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from koschey.errors import StartError

COMMENT = re.compile(r"(^|\s+)#.*$")
"""pip: a `#` begins a comment at the start of a line or after a blank."""
INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s+|=|(?<=-[rc]))(\S.*)")
HASH = re.compile(r"\s--hash(?:=|\s+)(\S+)")
OPTION = re.compile(r"\s--?[a-z].*$", re.DOTALL)
"""What else stands behind a requirement: options for its build."""
DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Found:
    """One requirement. Without a version it is no pin, and `why` says what it is."""

    file: Path
    line: int
    text: str
    name: str = ""
    version: str | None = None
    hashes: tuple[str, ...] = ()
    why: str = ""


def read_requirements(path: Path, depth: int = 0) -> Iterator[Found]:
    """Yield the requirements of a file and of those that it includes.

    Raises `StartError` where files include each other without an end; errors of reading are those of `Path.read_text`.
    """
    if depth > DEEPEST:
        raise StartError(f"{path} is included {DEEPEST} files deep; do they include each other?")
    for line, text in _logical_lines(path.read_text("utf-8-sig")):
        if include := INCLUDE.fullmatch(text):
            yield from _include(path, line, include[1], depth)
        elif text.startswith(("-e", "--editable")):
            yield Found(path, line, text, why="does not come from an index")
        elif not text.startswith("-"):
            yield _read(path, line, text)


def _include(path: Path, line: int, target: str, depth: int) -> Iterator[Found]:
    [name] = shlex.split(target)[:1]
    if "://" in name:
        yield Found(path, line, name, why="is not read: it is somewhere else")
        return
    yield from read_requirements(path.parent / name, depth + 1)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that is not empty, joined with those that continue it, and the number of its first."""
    begun, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        # A comment ends a continued line, as for pip.
        is_comment = line.lstrip().startswith("#")
        parts.append("" if is_comment else line.removesuffix("\\"))
        if line.endswith("\\") and not is_comment:
            continue
        joined = COMMENT.sub("", " ".join(parts)).strip()
        if joined:
            yield begun, joined
        begun, parts = 0, []
    if joined := COMMENT.sub("", " ".join(parts)).strip():
        yield begun, joined


def _read(path: Path, line: int, text: str) -> Found:
    stated = OPTION.sub("", f"{text} ").strip()
    try:
        requirement = Requirement(stated)
    except InvalidRequirement:
        return Found(path, line, stated, why="does not come from an index by its name")
    if requirement.url:
        return Found(path, line, requirement.name, why="does not come from an index")
    exact = [s.version for s in requirement.specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
    if len(exact) != 1:
        return Found(path, line, stated, requirement.name, why="is not pinned to one version")
    hashes = tuple(sorted({found.lower() for found in HASH.findall(f" {text}")}))
    return Found(path, line, stated, requirement.name, exact[0], hashes)
