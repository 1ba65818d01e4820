"""The upstream's made-up projects, written as static files: pages as JSON and HTML, wheels and their metadata.

The tree is made once and kept. Links are relative to the host, so that it may be served from any port:

    simple/index.{json,html}, simple/<project>/index.{json,html}    each also as .gz
    packages/<digest>/<file>                                        with <file>.metadata
"""

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.support.upstream.catalogue import Catalogue, Page, UpstreamFile, render_html

LAYOUT = "1"
"""Changes with what is written, so that an older tree is made again."""
ROUNDS = 5
"""Each round has projects of its own, because a project is seen for the first time once."""
SMALL, PAGE, LARGE = 20, 40, 4000
"""Files of a project that is seen for the first time, of the one whose page is requested often, and of a large one."""
FIRST, CURLED = 30, 10
"""Projects that one client and that `curl` see for the first time in a round."""
UNREAD = ("first-", "curled-", *(f"large-{number}" for number in range(1, ROUNDS)))
"""Projects of which only the pages are requested. Their files are not written: that would take minutes."""
CHAIN = 60
"""Projects that an installer needs, each for the one before it."""
KB, MB, HUGE = 1_000, 1_000_000, 200_000_000
PUBLISHED = datetime(2024, 5, 6, tzinfo=UTC)
"""Long ago: no index holds these files back."""


def first(number: int) -> list[str]:
    """The projects that one client sees for the first time in this round."""
    return [f"first-{number}-{each}" for each in range(FIRST)]


def curled(number: int) -> list[str]:
    """The projects that `curl` sees for the first time in this round."""
    return [f"curled-{number}-{each}" for each in range(CURLED)]


def chain(number: int) -> list[str]:
    """The projects that are installed in this round; the first needs all others."""
    return [f"chain-{number}-{each}" for each in range(CHAIN)]


def prepare(folder: Path) -> Path:
    """Return the tree below `folder`; make it if it is missing."""
    tree = folder / f"upstream-{LAYOUT}"
    if not tree.exists():
        unfinished = folder / f"upstream-{LAYOUT}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        names = []
        for name, catalogue in _projects():
            names.append(name)
            _write_project(unfinished, name, catalogue)
        listed: Page = {"meta": {"api-version": "1.4"}, "projects": [{"name": name} for name in names]}
        _write_page(unfinished / "simple", listed)
        unfinished.rename(tree)
    return tree


def read_page(tree: Path, project: str) -> Page:
    """Return a project's page as it was written."""
    page: Page = json.loads((tree / "simple" / project / "index.json").read_bytes())
    return page


def page_size(tree: Path, project: str) -> int:
    """Return the size of a project's JSON page."""
    return (tree / "simple" / project / "index.json").stat().st_size


def _projects() -> Iterator[tuple[str, Catalogue]]:
    yield "page", _with_files("page", PAGE, size=KB)
    for number in range(ROUNDS):
        for name in [*first(number), *curled(number)]:
            yield name, _with_files(name, SMALL)
        yield f"large-{number}", _with_files(f"large-{number}", LARGE)
        yield f"mb-{number}", _with_files(f"mb-{number}", 1, size=MB)
        yield f"huge-{number}", _with_files(f"huge-{number}", 1, size=HUGE)
        links = chain(number)
        for name, needed in zip(links, [*links[1:], None], strict=True):
            catalogue = Catalogue("")
            catalogue.add(name, "1.0", requires=[needed] if needed else [], upload_time=PUBLISHED)
            yield name, catalogue


def _with_files(name: str, count: int, size: int | None = None) -> Catalogue:
    catalogue = Catalogue("")
    for number in range(count):
        catalogue.add(name, f"1.{number}", size=size, upload_time=PUBLISHED)
    return catalogue


def _write_project(tree: Path, name: str, catalogue: Catalogue) -> None:
    page = catalogue.project_detail(name)
    assert page is not None
    _write_page(tree / "simple" / name, page)
    if not name.startswith(UNREAD):
        for entry in page["files"]:
            _write_file(tree, catalogue.file(entry["filename"]))


def _write_page(folder: Path, page: Page) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for form, text in (("json", json.dumps(page, separators=(",", ":"))), ("html", render_html(page))):
        path = folder / f"index.{form}"
        path.write_text(text)
        compressed = folder / f"index.{form}.gz"
        compressed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        stamp = path.stat()
        os.utime(compressed, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def _write_file(tree: Path, file: UpstreamFile) -> None:
    path = tree / file.path.removeprefix("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        for chunk in file.body.chunks(0, file.size):
            target.write(chunk)
    if file.metadata is not None:
        path.with_name(f"{path.name}.metadata").write_bytes(file.metadata)
