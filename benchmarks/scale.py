"""Measures how the cost of an index grows with its content: pages, lists, rules, walks, commands, and its start.

    uv run python benchmarks/scale.py [--projects N] [--repeat N] [--markdown FILE] [--without-commands]

Starts `koschey up` in a folder of its own, halts its worker, and adds N projects with twenty files each to its database
as rows (tests/support/scale.py says which). Then it measures each operation with one client, and prints the medians.
Upstream pages count as fresh, so no upstream is requested. At last it ends everything, and starts it again on the data.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
import msgspec
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.bulk import without_indexes
from koschey.db import checking, fast_lane, feeds, waiting
from koschey.db.pool import Connection, Pool, open_pool
from koschey.embedded.secret_file import NAME, Secrets
from koschey.governance.changes import set_rule
from koschey.governance.terms import Terms
from koschey.model import Actor
from tests.support.api import Api
from tests.support.koschey_up import JSON, Koschey, ask
from tests.support.panel import Person, add_account
from tests.support.scale import PATIENCE, fill, find_ready_answers
from tests.support.upstream.server import Upstream

ADMIN = "scale-admin"
BLOCK = {"kind": "blocked", "reason": "a benchmark"}
EVER = timedelta(days=-1)
"""An age that every page has reached."""
NEVER = timedelta(days=3650)
SEARCH = """<?xml version="1.0"?><methodCall><methodName>search</methodName><params><param><value><struct><member>
<name>{field}</name><value><string>{text}</string></value></member></struct></value></param></params></methodCall>"""
CHANGES = """<?xml version="1.0"?><methodCall><methodName>changelog_since_serial</methodName><params><param><value><int>
{serial}</int></value></param></params></methodCall>"""
COMMANDS = (("quarantine", "--limit", "100"), ("quarantine", "--project", "kafka"), ("quarantine", "--json"))
LIMIT = 300.0
"""Maximum seconds for a statement that this program runs by itself: it also measures what exceeds the product's."""


class Measures:
    """The table: a row for each operation, with the median of several times in milliseconds."""

    def __init__(self, repeat: int) -> None:
        self.rows: list[tuple[str, str, str]] = []
        self._repeat = repeat

    def add(self, what: str, act: Callable[[], object]) -> None:
        """Repeat an operation, and add its median; a slow one is done once. A failure is a result, too."""
        times: list[float] = []
        while len(times) < self._repeat and sum(times) < 10_000:
            begun = time.perf_counter()
            try:
                size = _size_of(act())
            except Exception as error:  # noqa: BLE001 - the table says what failed
                self.rows.append((what, "failed", repr(error)[:60]))
                return
            times.append((time.perf_counter() - begun) * 1000)
        self.rows.append((what, f"{statistics.median(times):,.1f}", size))


def _size_of(answer: object) -> str:
    match answer:
        case str():
            return answer
        case list() | dict() | set():
            return f"{len(answer):,} rows"
        case _:
            return ""


def measure_pages(measures: Measures, koschey: Koschey, serial: int) -> None:
    """Request pages of the index, of the panel, and of the API."""
    person, api = Person(koschey.url), Api(koschey)
    add_account(koschey, ADMIN, ("admin", "*"))
    person.log_in(ADMIN)

    def page(path: str) -> Callable[[], str]:
        def act() -> str:
            found = person.ask(f"/admin/{path}")
            if found.status != 200:
                raise RuntimeError(f"{found.status}: {found.told}")
            return f"{len(found.text) / 1e3:,.0f} KB"

        return act

    def get(path: str) -> Callable[[], str]:
        return lambda: _body(ask(f"{koschey.url}{path}", timeout=LIMIT, Accept=JSON))

    def call(path: str) -> Callable[[], str]:
        return lambda: _body(api.call("GET", path))

    def post(body: str) -> Callable[[], str]:
        return lambda: _body(api.call("POST", "/pypi", raw=body.encode(), Content_Type="text/xml"))

    for what, act in {
        "page of a project, 20 files": get("/simple/corp-rare-6/"),
        "page of a project, 5,000 files": get("/simple/bigone-1/"),
        "/held/ of a project": get("/held/corp-rare-6/"),
        "/admin/": page(""),
        "/admin/, page 40": page("?page=40"),
        "/admin/, search for kafka": page("?q=kafka"),
        "/admin/attention": page("attention"),
        "/admin/policy": page("policy"),
        "/api/v1/quarantine": call("quarantine"),
        "/api/v1/quarantine?project=kafka": call("quarantine?project=kafka"),
        "/api/v1/requests": call("requests"),
        "/api/v1/journal": call("journal"),
        "search by name": post(SEARCH.format(field="name", text="kafka")),
        "search by summary": post(SEARCH.format(field="summary", text="queues")),
        "search without a hit": post(SEARCH.format(field="name", text="nosuchthing")),
        "changelog, last 1,000": post(CHANGES.format(serial=serial - 1000)),
        "/rss/packages.xml": get("/rss/packages.xml"),
        "/rss/updates.xml": get("/rss/updates.xml"),
        "/stats/": get("/stats/"),
    }.items():
        measures.add(what, act)


def _body(answer: Any) -> str:
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {answer.body[:200]!r}")
    return f"{len(answer.body) / 1e3:,.0f} KB"


def measure_statements(measures: Measures, url: str) -> None:
    """Run walks, rules and what only the worker asks for, as the product does, without the limit of 10 s."""
    with asyncio.Runner() as runner:
        pool: Pool = runner.run(open_pool(url, size=2, command_timeout=LIMIT))
        last = runner.run(pool.fetchval("SELECT max(file_id) FROM standing WHERE state = 'held'"))

        async def unchecked() -> set[Any]:
            return await waiting.select_unchecked(pool, await waiting.select_held_files(pool, 0, 1000))

        async def fixes() -> list[fast_lane.FastLane]:
            names, _ = await fast_lane.select_advised(pool, "", 200)
            return await fast_lane.find_fixes(pool, names)

        acts: dict[str, Callable[[], Awaitable[object]]] = {
            "1,000 held files, first": lambda: waiting.select_held_files(pool, 0, 1000),
            "1,000 held files, last": lambda: waiting.select_held_files(pool, last - 20_000, 1000),
            "1,000 held files, unchecked": unchecked,
            "2,000 projects: which are wanted": lambda: waiting.update_wanted(pool, timedelta(days=30), 0, 2000),
            "stale projects, none": lambda: waiting.select_stale_projects(pool, NEVER, [], 200),
            "stale projects, all": lambda: waiting.select_stale_projects(pool, EVER, [], 200),
            "200 projects with advisories: security fixes": fixes,
            "2,000 projects: number of releases": lambda: checking.update_releases(pool, 0, 2000),
            "used names": lambda: checking.select_used_names(pool, 5000),
            "sizes": lambda: feeds.select_sizes(pool, limit=100),
            "rule blocked bigone-1": lambda: change(pool, Terms(**BLOCK, scope="bigone-1")),
            "rule blocked corp-rare-*": lambda: change(pool, Terms(**BLOCK, scope="corp-rare-*")),
            "rule blocked graph-*": lambda: change(pool, Terms(**BLOCK, scope="graph-*")),
            "rule window *": lambda: change(pool, Terms("window", "*", "9", reason="a benchmark")),
        }
        for what, act in acts.items():
            measures.add(what, lambda act=act: runner.run(_await(act())))  # type: ignore[misc]
        runner.run(pool.close())


async def _await(work: Awaitable[object]) -> object:
    return await work


async def change(pool: Pool, terms: Terms) -> str:
    """Set a rule, and take it back."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            outcome = await set_rule(connection, Actor(ADMIN, "api"), terms)
        finally:
            await transaction.rollback()
    return f"{outcome.rejudged:,} held releases, {outcome.effects.closed:,} files closed"


def measure_commands(measures: Measures, koschey: Koschey) -> None:
    """Run commands, and note the maximum of their memory."""
    for command in COMMANDS:

        def act(command: tuple[str, ...] = command) -> str:
            line = [sys.executable, "-m", "koschey", *command, "--data", str(koschey.data)]
            with Path(os.devnull).open("wb") as sink, subprocess.Popen(line, stdout=sink) as process:
                watched, most = psutil.Process(process.pid), 0
                while process.poll() is None:
                    try:
                        most = max(most, watched.memory_info().rss)
                    except psutil.NoSuchProcess:
                        break
                    time.sleep(0.02)
            if process.wait():
                raise RuntimeError(f"exit code {process.returncode}")
            return f"{most / 2**20:,.0f} MiB"

        measures.add(f"koschey {' '.join(command)}", act)


@contextmanager
def halted(koschey: Koschey) -> Iterator[None]:
    """Halt the worker: it would act on what is added."""
    pid = koschey.ready["pids"]["worker"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def end(koschey: Koschey) -> None:
    """End it, however long PostgreSQL needs to write its pages to the disk."""
    koschey.process.send_signal(signal.SIGINT)
    koschey.process.wait(LIMIT)


async def load(koschey: Koschey, projects: int) -> int:
    """Add the rows as PostgreSQL's superuser, who may leave out triggers. Returns the last serial."""
    secrets = msgspec.json.decode((koschey.data / NAME).read_bytes(), type=Secrets)
    place = urlsplit(koschey.settings["KOSCHEY_DATABASE_URL"])
    own = f"postgres:{secrets.postgres_superuser}@{place.hostname}:{place.port}"
    connection: Connection = await asyncpg.connect(place._replace(netloc=own).geturl())
    try:
        await connection.execute("SET session_replication_role = replica")
        async with without_indexes(connection):
            with Progress(console=Console(stderr=True)) as progress:
                task = progress.add_task("projects", total=projects)
                await fill(connection, projects, tell=lambda done: progress.update(task, completed=done))
        await find_ready_answers(connection)
        await connection.execute("VACUUM ANALYZE", timeout=PATIENCE)
        await connection.execute("CHECKPOINT", timeout=LIMIT)
        return int(await connection.fetchval("SELECT serial FROM journal_head"))
    finally:
        await connection.close()


def measure(folder: Path, given: argparse.Namespace) -> Measures:
    """Load the rows, and measure everything."""
    measures = Measures(given.repeat)
    with Upstream() as upstream:
        koschey = Koschey(folder, upstream.url, freshness=1e9)
        with koschey:
            end(koschey)
        measure_start(measures, koschey, "koschey up of an empty index, until it is ready")
        with koschey:
            with halted(koschey):
                serial = asyncio.run(load(koschey, given.projects))
                measure_pages(measures, koschey, serial)
                measure_statements(measures, koschey.settings["KOSCHEY_DATABASE_URL"])
                if not given.without_commands:
                    measure_commands(measures, koschey)
            end(koschey)
        measure_start(measures, koschey, "koschey up, until it is ready")
    return measures


def measure_start(measures: Measures, koschey: Koschey, what: str) -> None:
    """Start and end it."""
    begun = time.perf_counter()
    with koschey:
        measures.rows.append((what, f"{(time.perf_counter() - begun) * 1000:,.0f}", ""))
        end(koschey)


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3, help="how often each operation is measured")
    parser.add_argument("--markdown", type=Path, help="a file for the table in Markdown")
    parser.add_argument("--without-commands", action="store_true", help="do not measure commands")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="koschey-benchmark-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        rows = measure(Path(folder) / "data", given).rows
    title = f"{given.projects:,} projects"
    table = Table("operation", "ms", "answer", title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
    if given.markdown:
        lines = [f"| {title} | ms | answer |", "| --- | ---: | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
        given.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
