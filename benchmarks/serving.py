"""Measures how long a client waits for pages and files, cold and warm, with an upstream on loopback.

    uv run python benchmarks/serving.py [--processes N] [--seconds S]

Prints a table. `wrk` (Debian's package) counts requests per second; without it they are left out.
"""

import argparse
import hashlib
import http.client
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from rich.console import Console
from rich.table import Table

from tests.support.koschey_up import JSON, Koschey, ask
from tests.support.upstream.server import Upstream

SMALL, LARGE = 40, 4000
"""Files on a page."""


def fill(upstream: Upstream) -> None:
    """Add the projects that the benchmark requests."""
    for count, name in ((SMALL, "b-small"), (LARGE, "b-large")):
        for number in range(count):
            file = upstream.add(name, f"1.{number}", content=f"{name} {number}".encode(), core_metadata=False)
            # As on the public index; otherwise Koschey would search for it in every wheel during the measurement.
            upstream.promise(file.filename, f"{name} {number}".encode())
    upstream.add("b-file", "1.0", size=10**6)
    upstream.add_large("b-200", "1.0", size=200 * 10**6)


def seconds(what: Callable[[], object]) -> float:
    """Time one call."""
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


def rate(url: str, span: int) -> float | None:
    """Count answers per second, with one thread of `wrk` and 32 connections."""
    if not (wrk := shutil.which("wrk")):
        return None
    command = [wrk, "-t1", "-c32", f"-d{span}s", "-H", f"Accept: {JSON}", url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in printed:
        raise RuntimeError(printed)
    match = re.search(r"Requests/sec:\s*([\d.]+)", printed)
    return float(match[1]) if match else None


def download(url: str, digest: str) -> tuple[float, float]:
    """Download a file and check its digest; returns the seconds to the first byte and to the last."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    begun = time.perf_counter()
    connection.request("GET", parts.path)
    response = connection.getresponse()
    hasher = hashlib.sha256(response.read(1))
    first = time.perf_counter() - begun
    while chunk := response.read(2**20):
        hasher.update(chunk)
    total = time.perf_counter() - begun
    connection.close()
    if hasher.hexdigest() != digest:
        raise RuntimeError(f"the bytes of {url} do not have the expected SHA-256")
    return first, total


def measure(koschey: Koschey, upstream: Upstream, span: int) -> Table:
    """Run all measurements once."""
    table = Table("what", "figure")
    for name, count in (("b-small", SMALL), ("b-large", LARGE)):
        url = f"{koschey.index_url}{name}/"
        first = seconds(partial(ask, url))
        table.add_row(f"first request for a project with {count} files, ms", f"{1000 * first:.0f}")
        size = len(ask(url, Accept=JSON).body)
        found = rate(url, span)
        table.add_row(
            f"warm JSON page of {size / 1000:.0f} KB, requests/s", f"{found:,.0f}" if found else "wrk is not installed"
        )
    file = upstream.file("b_file-1.0-py3-none-any.whl")
    koschey.page("b-file")
    ask(koschey.url + file.path)
    found = rate(koschey.url + file.path, span)
    table.add_row("warm file of 1 MB, MB/s", f"{found * file.size / 1e6:,.0f}" if found else "wrk is not installed")
    large = upstream.file("b_200-1.0-py3-none-any.whl")
    koschey.page("b-200")
    for row in ("first time", "again"):
        first, total = download(koschey.url + large.path, large.sha256)
        table.add_row(f"200 MB file, {row}: first byte / total, s", f"{first:.3f} / {total:.2f}")
    return table


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="koschey-benchmark-") as name, Upstream() as upstream:
        Path(name).chmod(0o711)
        fill(upstream)
        with Koschey(Path(name) / "data", upstream.url, web_processes=given.processes) as koschey:
            Console().print(measure(koschey, upstream, given.seconds))


if __name__ == "__main__":
    main()
