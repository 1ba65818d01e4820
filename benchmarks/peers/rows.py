"""The work that each contender does, as groups of rows: what is seen for the first time comes first."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import catalogue
from benchmarks.peers.environments import uv
from benchmarks.peers.http1 import Answer
from benchmarks.peers.processes import bare_environment, run
from benchmarks.peers.session import JSON, DifferentError, Session

PLAIN = {"Accept": JSON}
CURL = shutil.which("curl")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    title: str
    unit: str
    less_is_better: bool = True


@dataclass(frozen=True)
class Group:
    """Rows that are measured together: `run` does the work of one round and returns a figure for each row."""

    rows: tuple[Row, ...]
    run: Callable[[Session, int], Sequence[float]]
    cold: bool = False
    """Whether it needs an index that fetches from the upstream."""


def groups(tree: Path, clients: Mapping[str, Mapping[str, str]]) -> list[Group]:
    """Return all groups, in the order in which they are measured. `clients` has the headers that installers send."""
    found = [
        Group(
            (
                Row("install-first", f"`uv pip install`, chain of {catalogue.CHAIN} projects, first", "ms"),
                Row("install-again", f"`uv pip install`, chain of {catalogue.CHAIN} projects, again", "ms"),
            ),
            _install,
            cold=True,
        ),
        _first("first", f"first sight of a project of {catalogue.SMALL} files, one client", catalogue.first),
    ]
    if CURL:
        title = f"first sight of a project of {catalogue.SMALL} files, `curl`"
        found.append(Group((Row("first-curl", title, "ms"),), _curl, cold=True))
    found += [
        _first(
            "first-large", f"first sight of a project of {catalogue.LARGE:,} files", lambda number: [f"large-{number}"]
        ),
        Group((Row("mb-first", "1 MB file, first", "ms"),), _mb_first, cold=True),
        Group(
            (
                Row("huge-first-byte", "200 MB file, first: first byte", "ms"),
                Row("huge-first", "200 MB file, first: total", "ms"),
            ),
            _huge,
            cold=True,
        ),
        Group((Row("huge", "200 MB file, warm: total", "ms"),), _huge_warm),
    ]
    for project, files in (("page", catalogue.PAGE), ("large-0", catalogue.LARGE)):
        title = f"warm page of {files:,} files ({_size(catalogue.page_size(tree, project))} as JSON)"
        key = project.partition("-")[0] if project == "page" else "page-large"
        for client, headers in (("plain", PLAIN), *clients.items()):
            what = "not compressed" if client == "plain" else f"as {client} asks"
            found.append(_page(f"{key}-{client}", f"{title}, {what}", project, headers))
    found += [
        Group((Row("mb", "1 MB file, warm", "GB/s", less_is_better=False),), _mb),
        Group((Row("kb", "1 KB file, warm", "requests/s", less_is_better=False),), _kb),
    ]
    return found


def _first(key: str, title: str, projects: Callable[[int], list[str]]) -> Group:
    return Group(
        (Row(key, title, "ms"),), lambda session, number: [1000 * session.first_pages(projects(number))], cold=True
    )


def _page(key: str, title: str, project: str, headers: Mapping[str, str]) -> Group:
    def measure(session: Session, _number: int) -> list[float]:
        answer, _ = session.read_page(project, headers)
        return [session.rate({session.page_url(project): answer}, headers)]

    return Group((Row(key, title, "requests/s", less_is_better=False),), measure)


def _curl(session: Session, number: int) -> list[float]:
    assert CURL is not None
    names, begun = catalogue.curled(number), time.perf_counter()
    for name in names:
        command = [CURL, "--silent", "--fail", "--max-time", "60", "--header", f"Accept: {JSON}"]
        output = session.folder / "page"
        subprocess.run([*command, "--output", str(output), session.page_url(name)], env=bare_environment(), check=True)
    return [1000 * (time.perf_counter() - begun) / len(names)]


def _mb_first(session: Session, number: int) -> list[float]:
    return [1000 * _only(session.read_files(f"mb-{number}")).total]


def _huge(session: Session, number: int) -> list[float]:
    answer = _only(session.read_files(f"huge-{number}"))
    return [1000 * answer.first, 1000 * answer.total]


def _huge_warm(session: Session, _: int) -> list[float]:
    return [_huge(session, 0)[1] for _ in range(2)][1:]


def _mb(session: Session, _: int) -> list[float]:
    return [session.rate(session.read_files("mb-0"), {}) * catalogue.MB / 1e9]


def _kb(session: Session, _: int) -> list[float]:
    return [session.rate(session.read_files("page"), {})]


def _only(answers: Mapping[str, Answer]) -> Answer:
    (answer,) = answers.values()
    return answer


def _install(session: Session, number: int) -> list[float]:
    return [_install_once(session, number), _install_once(session, number)]


def _install_once(session: Session, number: int) -> float:
    names = catalogue.chain(number)
    with tempfile.TemporaryDirectory(dir=session.folder) as folder:
        target = Path(folder) / "target"
        command = [
            *(uv(), "pip", "install", "--quiet", "--no-config", "--python", sys.executable, "--target", str(target)),
            *("--cache-dir", f"{folder}/cache", "--index-url", session.index, names[0]),
        ]
        begun = time.perf_counter()
        run(command, bare_environment())
        taken = time.perf_counter() - begun
        if (installed := len(list(target.glob("*.dist-info")))) != len(names):
            raise DifferentError(f"{installed} of {len(names)} projects were installed")
    return 1000 * taken


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} KB"
