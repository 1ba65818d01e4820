"""Measures migrations of a large database: how long each statement takes, and how long writers wait meanwhile.

    uv run python benchmarks/migrations.py [--projects N] [--after STEP] [--markdown FILE]

Starts PostgreSQL as `koschey up` does, applies the steps up to STEP, adds N projects as rows, and applies the others as
`koschey migrate` does. Meanwhile a writer changes a project, a file's state and its downloads, ten times a second.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.bulk import without_indexes
from koschey.db import migrate
from koschey.db.pool import Connection, connect
from tests.support.postgres import Postgres, new_server
from tests.support.scale import fill

DATABASE = "large"
WRITES = (
    "UPDATE project SET looked_at = now() WHERE id = 7",
    "UPDATE standing SET reason = reason WHERE file_id = 7",
    "INSERT INTO download (index_id, file_id) SELECT index_id, file_id FROM standing WHERE file_id = 7",
)
LOCKS = """
    SELECT DISTINCT relation::regclass::text || ' ' || mode FROM pg_locks
     WHERE pid = $1 AND granted AND locktype = 'relation' AND database <> 0
       AND relation::regclass::text = ANY($2::text[]) AND mode = ANY($3::text[])
"""
TABLES = ["project", "standing", "file", "debut", "download", "rule"]
STRONG = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock", "ShareUpdateExclusiveLock"]
PAUSE = 0.1
LOOK_EVERY = 0.002


class Writer:
    """Writes all the time, and notes how long that takes at most."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self, url: str) -> None:
        """Write until it is cancelled."""
        connection = await connect(url)
        while True:
            begun = time.perf_counter()
            for statement in WRITES:
                await connection.execute(statement, timeout=3600)
            self.longest = max(self.longest, time.perf_counter() - begun)
            await asyncio.sleep(PAUSE)


class Locks:
    """Notes which locks on large tables a session has."""

    def __init__(self, pid: int) -> None:
        self.found: set[str] = set()
        self._pid = pid

    async def run(self, url: str) -> None:
        """Look until it is cancelled."""
        connection = await connect(url)
        while True:
            self.found |= {row[0] for row in await connection.fetch(LOCKS, self._pid, TABLES, STRONG)}
            await asyncio.sleep(LOOK_EVERY)


class Watched:
    """A connection that measures each statement which it executes, in place of the connection of a migration."""

    def __init__(self, connection: Connection, writer: Writer, locks: Locks) -> None:
        self.rows: list[tuple[str, str, str, str]] = []
        self._connection, self._writer, self._locks = connection, writer, locks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, statement: str, *values: object, **options: Any) -> str:
        """Execute a statement, and add a row if it is part of a step."""
        self._writer.longest, self._locks.found = 0.0, set()
        begun = time.perf_counter()
        done: str = await self._connection.execute(statement, *values, **options)
        taken = time.perf_counter() - begun
        if options:
            # The next look of either sees how it ends.
            await asyncio.sleep(2 * PAUSE)
            locks = ", ".join(sorted(self._locks.found))
            self.rows.append((_first_line(statement), f"{taken:,.2f}", f"{self._writer.longest:,.2f}", locks))
        return done


def _first_line(statement: str) -> str:
    lines = [line for line in statement.splitlines() if line and not line.startswith("--")]
    return lines[0].removesuffix(" (")[:70]


@asynccontextmanager
async def running(*works: Any) -> AsyncIterator[None]:
    """Run coroutines meanwhile. One that fails makes the measurement fail."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()


async def load(server: Postgres, after: int, projects: int) -> None:
    """Make a database with the steps up to `after`, and fill it."""
    await server.create("template0", DATABASE)
    own = await connect(server.url(DATABASE))
    await own.execute(migrate.CREATE_STEPS)
    await own.execute(migrate.ADD_DIGEST)
    for step in migrate.read_steps():
        if step.number <= after:
            await migrate.apply_step(own, step)
    await own.close()
    connection = await asyncpg.connect(server.superuser_url(DATABASE))
    await connection.execute("SET session_replication_role = replica")
    async with without_indexes(connection):
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("projects", total=projects)
            await fill(connection, projects, tell=lambda done: progress.update(task, completed=done))
    await connection.execute("VACUUM ANALYZE", timeout=3600)
    await connection.execute("CHECKPOINT", timeout=3600)
    await connection.close()


async def measure(server: Postgres, given: argparse.Namespace) -> Sequence[tuple[str, str, str, str]]:
    """Load the database, and apply the other steps to it."""
    await load(server, given.after, given.projects)
    url = server.url(DATABASE)
    connection = await connect(url)
    writer, locks = Writer(), Locks(connection.get_server_pid())
    watched = Watched(connection, writer, locks)
    async with running(writer.run(url), locks.run(url)):
        await migrate.migrate(watched)
    await connection.close()
    return watched.rows


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=10_000)
    parser.add_argument("--after", type=int, default=16, help="the last step that is applied before rows are added")
    parser.add_argument("--markdown", type=Path, help="a file for the table in Markdown")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="koschey-benchmark-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with new_server(Path(folder) / "postgres", fsync=True) as server:
            rows = asyncio.run(measure(server, given))
    head = (f"steps after {given.after}, {given.projects:,} projects", "s", "longest write, s", "locks")
    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    Console(width=160).print(table)
    if given.markdown:
        lines = [f"| {' | '.join(head)} |", "| --- | ---: | ---: | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
        given.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
