"""Measures the first request for a project's page, with an upstream on loopback.

    uv run python benchmarks/cold_pages.py [--projects N] [--large N] [--size FILES]

Prints a table: one client with one connection requests each project once, first from the upstream itself, then through
Koschey. While pages of many files are requested, another client requests a warm page all the time: its longest wait
shows for how long such a page blocks the event loop.
"""

import argparse
import asyncio
import hashlib
import http.client
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from rich.console import Console
from rich.table import Table

from tests.support.koschey_up import JSON, Koschey

SMALL = 20
"""Files on a small page."""
WARM = "warm"
"""The project whose page the second client requests."""


def page(name: str, count: int) -> bytes:
    """Render a project's page as the public index does: with sizes, times, and core metadata of each wheel."""
    files = [_file(name, number) for number in range(count)]
    return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files}).encode()


def _file(name: str, number: int) -> dict[str, object]:
    release = f"{name.replace('-', '_')}-1.{number // 2}"
    filename = f"{release}-py3-none-any.whl" if number % 2 else f"{release}.tar.gz"
    digest = hashlib.sha256(filename.encode()).hexdigest()
    blake = hashlib.blake2b(filename.encode(), digest_size=32).hexdigest()
    metadata = {"core-metadata": {"sha256": digest[::-1]}} if number % 2 else {}
    return {
        "filename": filename,
        "url": f"/packages/{blake[:2]}/{blake[2:4]}/{blake[4:]}/{filename}",
        "hashes": {"sha256": digest},
        "requires-python": ">=3.9",
        "size": 1000 + number,
        "upload-time": f"2020-01-{number % 28 + 1:02}T12:00:00.000000Z",
        "yanked": False,
        **metadata,
    }


@dataclass
class _Server(asyncio.Protocol):
    """Answers GETs with prepared pages, so that the upstream costs as little as possible."""

    pages: Mapping[bytes, bytes]
    _given: bytearray = field(default_factory=bytearray)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._given += data
        while b"\r\n\r\n" in self._given:
            head, _, rest = bytes(self._given).partition(b"\r\n\r\n")
            self._given = bytearray(rest)
            body = self.pages.get(head.split(b" ", 2)[1])
            status = b"404 Not Found" if body is None else b"200 OK"
            length = b"Content-Length: %d" % len(body or b"")
            lines = (b"HTTP/1.1 " + status, b"Content-Type: " + JSON.encode(), b'ETag: "1"', length, b"", body or b"")
            self._transport.write(b"\r\n".join(lines))  # type: ignore[attr-defined]


def _serve(sizes: Mapping[str, int], ready: Connection) -> None:
    pages = {f"/simple/{name}/".encode(): page(name, count) for name, count in sizes.items()}

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Server(pages), "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def upstream(sizes: Mapping[str, int]) -> Iterator[str]:
    """Serve pages of so many files from a process of its own; yields the URL."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(sizes, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/simple/"
    finally:
        process.terminate()
        process.join()


class Client:
    """One client with one connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)

    def get(self, project: str) -> tuple[float, int]:
        """Request a page; returns the milliseconds until its end, and the number of its files."""
        begun = time.perf_counter()
        self._connection.request("GET", f"{self._path}{project}/", headers={"Accept": JSON})
        response = self._connection.getresponse()
        body = response.read()
        spent = 1000 * (time.perf_counter() - begun)
        if response.status != 200:
            raise RuntimeError(f"{project}: {response.status} {body[:200]!r}")
        return spent, len(json.loads(body)["files"])

    def get_all(self, projects: Sequence[str], count: int) -> list[float]:
        """Request pages one after another; returns the milliseconds of each."""
        times = []
        for name in projects:
            spent, files = self.get(name)
            if files != count:
                raise RuntimeError(f"the page of {name} has {files} files, not {count}")
            times.append(spent)
        return times


@contextmanager
def longest_wait(url: str) -> Iterator[list[float]]:
    """Have another client request a warm page all the time; the list has its waits once the block has ended."""
    waits: list[float] = []
    client, end = Client(url), threading.Event()
    client.get(WARM)

    def run() -> None:
        while not end.wait(0.001):
            waits.append(client.get(WARM)[0])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield waits
    finally:
        end.set()
        thread.join()


def measure(direct: str, koschey: str, small: Sequence[str], large: Sequence[str], size: int) -> Table:
    """Request every page once, from the upstream and through Koschey."""
    table = Table("first request for a page", "pages", "median, ms", "90 %, ms", "upstream itself, ms")
    first, through = Client(direct), Client(koschey)
    through.get(WARM)

    def add(count: int, projects: Sequence[str]) -> None:
        alone, times = first.get_all(projects, count), through.get_all(projects, count)
        figures = (statistics.median(times), statistics.quantiles(times, n=10)[-1], statistics.median(alone))
        table.add_row(f"{count:,} files", str(len(projects)), *(f"{figure:.1f}" for figure in figures))

    add(SMALL, small)
    add(size, large[: len(large) // 2])
    with longest_wait(koschey) as waits:
        through.get_all(large[len(large) // 2 :], size)
    table.add_row(f"another client meanwhile, {size:,} files", str(len(waits)), f"longest {max(waits):.1f}", "", "")
    return table


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=200)
    parser.add_argument("--large", type=int, default=10)
    parser.add_argument("--size", type=int, default=4000)
    given = parser.parse_args()
    small = [f"c-small-{number}" for number in range(given.projects)]
    large = [f"c-large-{number}" for number in range(given.large)]
    sizes = dict.fromkeys(small, SMALL) | dict.fromkeys(large, given.size) | {WARM: 1}
    with tempfile.TemporaryDirectory(prefix="koschey-benchmark-") as name, upstream(sizes) as url:
        Path(name).chmod(0o711)
        with Koschey(Path(name) / "data", url) as koschey:
            Console().print(measure(url, koschey.index_url, small, large, given.size))


if __name__ == "__main__":
    main()
