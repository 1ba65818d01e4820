"""Reads the pins of a requirements file as pip does: continued lines, comments, `-r`, `-c`, `--hash`.

pip's own parser is not public.
"""

import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from koschey.errors import StartError

MAX_BYTES = 32 * 2**20
"""Maximum size of a file, in bytes. The locks of the largest monorepos have a few million."""
DEEPEST = 20
MAX_FILES = 1000
"""Maximum number of files that one requirements file may include."""
COMMENT = re.compile(r"(^|\s+)#.*$")
"""pip: a `#` begins a comment at the start of a line or after whitespace."""
PASSED_OVER = (
    "-i",
    "--index-url",
    "--pypi-url",
    "--extra-index-url",
    "--no-index",
    "-f",
    "--find-links",
    "--trusted-host",
    "--no-binary",
    "--only-binary",
    "--prefer-binary",
    "--require-hashes",
    "--pre",
    "--use-feature",
)
"""Options of pip that a requirements file may contain, and that pin nothing."""
ADDRESS = re.compile(
    r"([a-z][a-z0-9+.-]*:)|(\.{0,2}[/\\])|.*\.(whl|zip|tar(\.\w+)?|tgz|tbz)(\[|;|@|\s|$)|\.+$", re.IGNORECASE
)
"""What pip reads as a URL or a path if it is no requirement."""
INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s+|=|(?<=-[rc]))(\S.*)")
HASH = re.compile(r"\s--hash(?:=|\s+)(\S+)")
OPTION = re.compile(r"\s--?[a-z].*$", re.DOTALL)
"""The options after a requirement, which are for its build."""


@dataclass(frozen=True, slots=True)
class Found:
    """One requirement. If it has no version it is no pin, and `why` says what it is."""

    file: Path
    line: int
    text: str
    name: str = ""
    version: str | None = None
    hashes: tuple[str, ...] = ()
    why: str = ""


def read_text(path: Path) -> str:
    """Return the text of a user's file.

    Raises `StartError` if it is no regular file or too large, and the errors of `Path.read_text`.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise StartError(f"{path} is not a regular file")
    if state.st_size > MAX_BYTES:
        raise StartError(f"{path} has {state.st_size} bytes; a lock file may have at most {MAX_BYTES}")
    return path.read_text("utf-8-sig")


def read_requirements(path: Path) -> Iterator[Found]:
    """Yield the requirements of a file and of the files that it includes, each file once.

    Raises `StartError` for a line that pip would not understand either, and if files include each other; and what
    `read_text` raises.
    """
    yield from _read_file(path, (), set())


def _read_file(path: Path, including: tuple[Path, ...], seen: set[Path]) -> Iterator[Found]:
    resolved = path.resolve()
    if resolved in including:
        raise StartError(f"{path} and the files that it includes include each other")
    if resolved in seen:
        return
    seen.add(resolved)
    if len(including) > DEEPEST or len(seen) > MAX_FILES:
        raise StartError(f"{path} is one of more than {MAX_FILES} files, or more than {DEEPEST} includes deep")
    for line, text in _logical_lines(read_text(path)):
        include = INCLUDE.fullmatch(text)
        if include is None:
            yield from _read_line(path, line, text)
            continue
        name = _first_word(path, line, include[1])
        if "://" in name:
            raise StartError(f"{path}:{line}: Koschey does not read {name[:200]!a}; download it, and include the file")
        else:
            yield from _read_file(path.parent / name, (*including, resolved), seen)


def _read_line(path: Path, line: int, text: str) -> Iterator[Found]:
    if text.startswith(("-e", "--editable")):
        yield Found(path, line, text, why="does not come from an index")
    elif not text.startswith("-"):
        yield _read(path, line, text)
    elif not re.match(rf"({'|'.join(map(re.escape, PASSED_OVER))})(\s|=|$)", text) and not re.match(r"-[if]\S", text):
        raise _not_understood(path, line, text)


def _first_word(path: Path, line: int, text: str) -> str:
    try:
        return shlex.split(text)[0]
    except (ValueError, IndexError):
        raise _not_understood(path, line, text) from None


def _not_understood(path: Path, line: int, text: str) -> StartError:
    return StartError(f"{path}:{line}: {text[:200]!a} is neither a requirement nor an option of pip")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each non-empty line, joined with its continuation lines, and the number of the first of them."""
    begun, parts = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        # A comment ends a continued line, as in pip.
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
    except ValueError:  # `InvalidRequirement`, or a number of more digits than Python reads
        if not ADDRESS.match(stated):
            raise _not_understood(path, line, text) from None
        return Found(path, line, stated, why="does not come from an index by its name")
    if requirement.url:
        return Found(path, line, requirement.name, why="does not come from an index")
    exact = [s.version for s in requirement.specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
    if len(exact) != 1:
        return Found(path, line, stated, requirement.name, why="is not pinned to one version")
    hashes = tuple(sorted({found.lower() for found in HASH.findall(f" {text}")}))
    return Found(path, line, stated, requirement.name, exact[0], hashes)
