"""Runs the same work against Koschey and other package indexes, and prints one table.

    uv run python -m benchmarks.peers [--quick] [--only NAME ...] [--rows KEY ...] [--output FOLDER]

An upstream of made-up projects is served on loopback by nginx; it is the first column, and the limit. Each index is
installed into an environment of its own, started with an empty folder, measured, and stopped, one after the other.
Every page and file that an index serves is compared with the upstream's. Exit code 1 if Koschey failed in any row.

--quick measures one round of short rates: it shows that everything runs, and no figure to quote.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers import catalogue, clients, drawing, environments, machine, report, rows, upstream
from benchmarks.peers.contenders import CONTENDERS, Contender, Koschey, Place
from benchmarks.peers.http1 import HttpError
from benchmarks.peers.processes import ServerError, free_port
from benchmarks.peers.results import Column, Figure, Results, written
from benchmarks.peers.rows import Group
from benchmarks.peers.session import DifferentError, Session

UPSTREAM = "upstream"
"""The name of the first column on the command line."""
TITLES = {"koschey": "Koschey", "koschey-hypercorn": "Koschey, hypercorn"}
FAILURES = (DifferentError, HttpError, ServerError, OSError, subprocess.SubprocessError, ValueError)


def main() -> None:
    """Parse the command line, measure, and write the reports."""
    given = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are stopped then too
    cache: Path = given.cache
    cache.mkdir(parents=True, exist_ok=True)
    _say(f"upstream and environments are in {cache}")
    tree = catalogue.prepare(cache)
    chosen = [each for each in CONTENDERS if not given.only or each.name in given.only]
    programs = {
        each.name: environments.install(cache / "environments", each.name, each.requirements) for each in chosen
    }
    work = [group for group in rows.groups(tree, clients.negotiations()) if _is_wanted(group, given.rows)]
    rounds, seconds = (1, 0.5) if given.quick else (given.rounds, given.seconds)
    shown = [row for group in work for row in group.rows if _wants(row, given.rows)]
    results = Results(machine.describe(), rounds, shown)
    try:
        for column in _columns(given.only, tree, programs, work, rounds, seconds):
            results.columns.append(column)
    except KeyboardInterrupt:
        _say("interrupted: the table has the columns that were complete")
    _write(results, given.output)
    sys.exit(any(failure.startswith("Koschey") for failure in results.failures))


def _columns(
    only: Sequence[str] | None,
    tree: Path,
    programs: Mapping[str, Path],
    work: Sequence[Group],
    rounds: int,
    seconds: float,
) -> Iterator[Column]:
    with tempfile.TemporaryDirectory(prefix="koschey-peers-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL runs under an account of its own if this is root
        with upstream.serving(tree, folder / "upstream") as source:
            if not only or UPSTREAM in only:
                session = Session(f"{source.url}/simple/", tree, folder, source.process, seconds)
                yield _measure(session, work, rounds, Column(source.title, "the upstream itself", limit=True))
            for contender in CONTENDERS:
                if contender.name in programs:
                    place = Place(programs[contender.name], folder / contender.name, free_port(), source.url, tree)
                    yield _take_part(contender, place, work, rounds, seconds)


def _take_part(contender: Contender, place: Place, work: Sequence[Group], rounds: int, seconds: float) -> Column:
    column = Column(TITLES.get(contender.name, contender.name), _version(contender, place.bin))
    _say(f"{column.title} {column.version}")
    groups = [group for group in work if contender.mirrors or not group.cold]
    if not contender.mirrors:
        column.notes.append("does not mirror; it had all files from the start")
    try:
        with contender.serving(place) as process, _client_folder(place) as folder:
            session = Session(place.url + contender.index, place.tree, folder, process, seconds)
            return _measure(session, groups, rounds, column)
    except FAILURES as error:
        _say(f"  {error}")
        column.figures |= {row.key: Figure(failure=str(error)) for group in groups for row in group.rows}
        return column


def _measure(session: Session, work: Sequence[Group], rounds: int, column: Column) -> Column:
    for group in work:
        session.settle()
        samples: list[Sequence[float]] = []
        try:
            samples = [group.run(session, number) for number in range(rounds)]
        except FAILURES as error:
            reason = str(error) or type(error).__name__
            column.figures |= {row.key: Figure(failure=reason) for row in group.rows}
            _say(f"  {group.rows[0].title}: {reason}")
            continue
        for row, found in zip(group.rows, zip(*samples, strict=True), strict=True):
            column.figures[row.key] = Figure(found)
            _say(f"  {row.title}: {column.figures[row.key]} {row.unit}; {', '.join(map(written, found))}")
    column.pages, column.files = session.pages, session.files
    if "text/html" in session.forms:
        column.notes.append("its pages are HTML")
    return column


@contextmanager
def _client_folder(place: Place) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="client-", dir=place.data.parent) as folder:
        yield Path(folder)


def _version(contender: Contender, programs: Path) -> str:
    found = environments.version(programs, contender.name if not isinstance(contender, Koschey) else "koschey")
    if not isinstance(contender, Koschey):
        return found
    parts = environments.versions(programs, ("granian", "hypercorn", "uvloop"))
    if "granian" in parts:
        del parts["hypercorn"]
    return ", ".join(
        [f"{found} {machine.revision()}".strip(), *(f"{name} {each}" for name, each in sorted(parts.items()))]
    )


def _wants(row: rows.Row, keys: Sequence[str]) -> bool:
    return not keys or any(row.key == key or row.key.startswith(f"{key}-") for key in keys)


def _is_wanted(group: Group, keys: Sequence[str]) -> bool:
    return any(_wants(row, keys) for row in group.rows)


def _write(results: Results, folder: Path | None) -> None:
    text, markdown = report.text(results), report.markdown(results)
    print(text)
    print(markdown)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "peers.txt").write_text(text)
        (folder / "peers.md").write_text(markdown)
        (folder / "peers.svg").write_text(drawing.svg(results))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parse() -> argparse.Namespace:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [UPSTREAM, *(each.name for each in CONTENDERS)]
    parser.add_argument("--quick", action="store_true", help="one round of short rates")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"columns: {', '.join(names)}")
    parser.add_argument(
        "--rows", nargs="+", metavar="KEY", default=[], help="keys of rows, or their beginnings: first, mb"
    )
    parser.add_argument("--rounds", type=int, default=catalogue.ROUNDS, choices=range(1, catalogue.ROUNDS + 1))
    parser.add_argument("--seconds", type=float, default=2.0, help="for which a rate is counted in a round")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write peers.txt, peers.md and peers.svg there")
    parser.add_argument("--cache", type=Path, default=home / "koschey-benchmarks", help="upstream and environments")
    return parser.parse_args()


if __name__ == "__main__":
    main()
