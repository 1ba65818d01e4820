"""Inspects every wheel and sdist of a folder, and prints how many a second, and the files that each rule refused.

    uv run python benchmarks/inspection.py FOLDER [--at-once N]

Any folder is accepted: one that `pip download --no-deps` filled, or a build's output. Exit code 1 if a file is refused.
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from koschey.errors import Refused
from koschey.inspection.sandbox.inspector import Inspector

SUFFIXES = (".whl", ".tar.gz")


@dataclass
class Tally:
    """What was found among files of one kind."""

    count: int = 0
    size: int = 0
    seconds: list[float] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)


async def look(inspector: Inspector, path: Path, turns: asyncio.Semaphore, tally: Tally) -> None:
    """Inspect one file."""
    async with turns:
        begun, descriptor = time.perf_counter(), os.open(path, os.O_RDONLY)
        try:
            await inspector.inspect(descriptor, path.name)
        except Refused as refusal:
            tally.refusals[path.name] = str(refusal)
        finally:
            tally.seconds.append(time.perf_counter() - begun)
            tally.count += 1
            tally.size += os.fstat(descriptor).st_size
            os.close(descriptor)


async def look_at_all(files: list[Path], at_once: int) -> dict[str, tuple[Tally, float]]:
    """Inspect all files, one kind after the other; return the seconds for each kind too."""
    inspector, turns, found = Inspector(), asyncio.Semaphore(at_once), {}
    for suffix in SUFFIXES:
        tally, begun = Tally(), time.perf_counter()
        paths = [path for path in files if path.name.endswith(suffix)]
        await asyncio.gather(*(look(inspector, path, turns, tally) for path in paths))
        found[suffix] = tally, time.perf_counter() - begun
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    found = asyncio.run(look_at_all(sorted(arguments.folder.iterdir()), arguments.at_once))
    table = Table("", "files", "MiB", "files/s", "MiB/s", "median ms", "slowest ms", "refused")
    for suffix, (tally, took) in found.items():
        if tally.count:
            mib, times = tally.size / 2**20, sorted(tally.seconds)
            figures = (f"{mib:.0f}", f"{tally.count / took:.1f}", f"{mib / took:.0f}")
            ends = (f"{times[len(times) // 2] * 1000:.0f}", f"{times[-1] * 1000:.0f}")
            table.add_row(suffix, str(tally.count), *figures, *ends, str(len(tally.refusals)))
    refusals = {name: text for tally, _ in found.values() for name, text in tally.refusals.items()}
    rules = Counter(text.partition(":")[0] for text in refusals.values())
    console = Console()
    console.print(table)
    for rule, count in rules.most_common():
        console.print(f"{count} refused by {rule}", markup=False)
    for text in refusals.values():
        console.print(text, markup=False, soft_wrap=True)
    sys.exit(bool(refusals))


if __name__ == "__main__":
    main()
