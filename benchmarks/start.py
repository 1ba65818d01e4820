"""Measures how long commands take to start: the help, commands on a running index, and `koschey up` itself.

    uv run python benchmarks/start.py [--rounds N] [--quick]

Wall time depends on what else runs; processor time, of the command and its children, does so much less. For
`koschey up` it is that of all its parts until it is ready, on a data folder that exists. `--quick` leaves it out.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil
from rich.console import Console
from rich.table import Table

from tests.support.koschey_up import Koschey
from tests.support.upstream.server import Upstream

KOSCHEY = str(Path(sys.executable).with_name("koschey"))
HELP = (("--help",), ("--version",), ("policy", "--help"))
ON_AN_INDEX = (("quarantine",), ("policy", "show"), ("alerts",), ("downloads", "nothing"))
CLIENT = (("explain", "nothing", "--help"), ("check", "--help"), ("conformance", "--help"))

type Measured = tuple[float, float]
"""Seconds of wall time and of processor time."""


def run(*command: str) -> Measured:
    """Run one command to its end."""
    began = time.perf_counter()
    process = subprocess.Popen([KOSCHEY, *command], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    spent = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 1), command
    return spent, used.ru_utime + used.ru_stime


def start_up(koschey: Koschey) -> Measured:
    """Start a whole index until it reports that it is ready, and stop it again."""
    began = time.perf_counter()
    with koschey:
        spent = time.perf_counter() - began
        parts = [psutil.Process(koschey.process.pid)]
        parts += parts[0].children(recursive=True)
        times = [part.cpu_times() for part in parts]
        # The times of children that have ended, such as the migration, are their parents'.
        return spent, sum(each.user + each.system + each.children_user + each.children_system for each in times)


def row(table: Table, name: str, measured: Sequence[Measured]) -> None:
    """Add the figures of one command."""
    cells = []
    for seconds in zip(*measured, strict=True):
        cells += [f"{1000 * statistics.median(seconds):.0f}", f"{1000 * min(seconds):.0f}"]
    table.add_row(name, *cells)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    table = Table("command", "wall, median ms", "least", "processor, median ms", "least", title="start")
    with (
        tempfile.TemporaryDirectory(prefix="koschey-start-", ignore_cleanup_errors=True) as name,
        Upstream() as upstream,
    ):
        Path(name).chmod(0o711)
        folder = Path(name) / "data"
        with Koschey(folder, upstream.url):
            for command in HELP + CLIENT:
                row(table, " ".join(command), [run(*command) for _ in range(given.rounds)])
            for command in ON_AN_INDEX:
                line = (*command, "--data", str(folder))
                row(table, " ".join(command), [run(*line) for _ in range(given.rounds)])
        if not given.quick:
            row(table, "up", [start_up(Koschey(folder, upstream.url)) for _ in range(max(3, given.rounds // 2))])
    Console().print(table)


if __name__ == "__main__":
    main()
