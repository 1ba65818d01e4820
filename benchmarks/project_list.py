"""Measures the project list of an index with very many projects: its first rendering, a change, and requests.

    uv run python benchmarks/project_list.py [--projects N]

Prints a table. The projects are rows without files; `/simple/` names nothing else.
"""

import argparse
import asyncio
import http.client
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.support.koschey_up import JSON, Koschey
from tests.support.upstream.server import Upstream

ADD_PROJECTS = """
    WITH head AS (UPDATE journal_head SET serial = serial + $2 - $1 + 1 RETURNING serial)
    INSERT INTO project (name, display_name, origin, serial)
    SELECT 'project-' || number, 'project-' || number, 'mirrored', head.serial - $2 + number
      FROM head, generate_series($1::bigint, $2::bigint) AS number
"""
NOTIFY = "SELECT pg_notify('koschey_project', 'project-1')"
STEP = 50_000


async def add_projects(database: str, count: int) -> None:
    """Insert the rows, each with a serial."""
    connection = await asyncpg.connect(database)
    with Progress() as progress:
        task = progress.add_task("projects", total=count)
        for first in range(1, count + 1, STEP):
            await connection.execute(ADD_PROJECTS, first, min(first + STEP - 1, count))
            progress.advance(task, STEP)
    await connection.execute(NOTIFY)
    await connection.close()


async def touch(database: str, number: int) -> None:
    """Commit a change to one project, as an upload does."""
    connection = await asyncpg.connect(database)
    await connection.execute(ADD_PROJECTS, number, number)
    await connection.execute(NOTIFY)
    await connection.close()


def get(url: str, encoding: str, etag: str = "") -> tuple[float, int, int, str]:
    """Request the list; returns seconds, bytes on the wire, the serial and the ETag."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
    begun = time.perf_counter()
    connection.request("GET", parts.path, headers={"Accept": JSON, "Accept-Encoding": encoding, "If-None-Match": etag})
    response = connection.getresponse()
    length = len(response.read())
    taken = time.perf_counter() - begun
    connection.close()
    return taken, length, int(response.headers["X-PyPI-Last-Serial"]), response.headers["ETag"]


def measure(koschey: Koschey, count: int) -> Table:
    """Send the requests that clients send."""
    table = Table("request", "seconds", "MB", "serial", title=f"/simple/ of {count:,} projects")

    def row(what: str, encoding: str = "identity", etag: str = "") -> str:
        taken, length, serial, found = get(koschey.index_url, encoding, etag)
        table.add_row(what, f"{taken:.3f}", f"{length / 1e6:.1f}", str(serial))
        return found

    row("first: rendered from the rows")
    etag = row("again")
    row("again with its ETag: 304", etag=etag)
    row("first in gzip", "gzip")
    row("again in gzip", "gzip")
    row("first in zstd", "zstd")
    row("again in zstd", "zstd")
    asyncio.run(touch(koschey.settings["KOSCHEY_DATABASE_URL"], count + 1))
    time.sleep(0.1)
    row("immediately after a change: the old list")
    deadline = time.monotonic() + 300
    while get(koschey.index_url, "identity")[2] < count + 1 and time.monotonic() < deadline:
        time.sleep(0.5)
    row("after the new list was rendered")
    return table


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=700_000)
    count = parser.parse_args().projects
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Upstream() as upstream:
        Path(folder).chmod(0o711)
        with Koschey(Path(folder) / "data", upstream.url) as koschey:
            asyncio.run(add_projects(koschey.settings["KOSCHEY_DATABASE_URL"], count))
            table = measure(koschey, count)
            Console().print(table)


if __name__ == "__main__":
    main()
