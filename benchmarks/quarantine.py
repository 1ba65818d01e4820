"""Measures a quarantine from end to end: releases are held, downloaded, checked, and released after their window.

    uv run python benchmarks/quarantine.py [--releases N] [--files N] [--window SECONDS] [--patience SECONDS]
                                           [--server embedded|skipping|both]

`embedded` is a whole `koschey up`, and its window ends in real time. `skipping` is a worker of its own under
Temporal's time-skipping server. The upstream is on loopback, and builds its tiny wheels when they are requested.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import asyncpg
import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from activities.checks import register_checks
from koschey.worker.wiring import QUICK_RUNNER
from tests.support.koschey_up import Koschey, ask
from tests.support.time_skipping import SkippingKoschey, new_database, skipping
from tests.support.upstream.server import Upstream

DAY = 86400.0
STEP = timedelta(seconds=10)
"""The step by which time is advanced while windows end."""
FIRST_END = "SELECT min(release_at) - koschey_now() FROM standing WHERE state = 'held'"
PER_PROJECT = 10
"""Releases of one project."""
TAGS = ("py3-none-any", "py38-none-any", "py39-none-any", "py310-none-any", "py311-none-any", "py312-none-any")
COUNTS = """
    SELECT (SELECT count(*) FROM standing) AS files,
           (SELECT count(*) FROM file WHERE stored_at IS NOT NULL) AS stored,
           coalesce((SELECT count(*) FROM check_run WHERE fault IS NULL)
                    / (SELECT nullif(count(*), 0) FROM known_check), 0) AS checked,
           (SELECT count(*) FROM standing WHERE state = 'released') AS released,
           (SELECT count(*) FROM standing WHERE state NOT IN ('held', 'released')) AS lost
"""
REASONS = "SELECT state, reason, count(*) FROM standing GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 5"
WRITTEN = "SELECT sum(n_tup_ins + n_tup_upd)::bigint FROM pg_stat_user_tables"
STATES = ("files", "stored", "checked", "released")
"""The stages of a file, in order; the columns of `COUNTS`."""
SAMPLE = 100
"""Runs whose activities are counted."""
LOOK_EVERY = 10
"""Seconds between measurements of processes."""
QUIET = 3
"""Seconds without a written row after which all work has ended; PostgreSQL counts a session's rows once a second."""


class Usage:
    """What processes and their children use from now on: seconds of CPU, and the maximum of memory."""

    def __init__(self, roots: dict[str, int], without: int | None = None) -> None:
        """Watch processes by name; `without` is a child that is not counted, nor are its own."""
        self._roots = {name: psutil.Process(pid) for name, pid in roots.items()}
        self._without = without
        self._before: dict[str, float] = {}
        self._looked = 0.0
        self.rss = dict.fromkeys(roots, 0)
        self.cpu = dict.fromkeys(roots, 0.0)
        self.look_now()
        self._before, self.cpu = self.cpu, dict.fromkeys(roots, 0.0)

    def look(self) -> None:
        """Measure, unless that was done just now: finding all children reads the data of every process."""
        if time.monotonic() - self._looked > LOOK_EVERY:
            self.look_now()

    def look_now(self) -> None:
        """Measure."""
        self._looked = time.monotonic()
        for name, root in self._roots.items():
            looks = [look for each in self._tree(root) if (look := look_at(each))]
            self.cpu[name] = sum(cpu for cpu, _ in looks) - self._before.get(name, 0.0)
            self.rss[name] = max(self.rss[name], sum(rss for _, rss in looks))

    def _tree(self, root: psutil.Process) -> Iterator[psutil.Process]:
        yield root
        for child in root.children():
            if child.pid != self._without:
                yield child
                with suppress(psutil.NoSuchProcess):
                    yield from child.children(recursive=True)


def look_at(process: psutil.Process) -> tuple[float, int] | None:
    """Return a process's CPU seconds, with those of children that have ended, and its memory; None if it ended."""
    try:
        with process.oneshot():
            return sum(process.cpu_times()[:4]), process.memory_info().rss
    except psutil.NoSuchProcess:
        return None


def fill(upstream: Upstream, releases: int, files: int) -> Iterator[str]:
    """Publish releases, those of a project when it is requested, so that they are new then. Yields its name."""
    for first in range(0, releases, PER_PROJECT):
        project = f"bq-{first // PER_PROJECT}"
        for number in range(min(PER_PROJECT, releases - first)):
            for tag in TAGS[:files]:
                filename = f"{project.replace('-', '_')}-1.{number}-{tag}.whl"
                # Other bytes for each tag, as different builds have.
                modules = {f"{tag.replace('-', '_')}.py": ""}
                upstream.add(project, f"1.{number}", filename=filename, modules=modules, upload_time=datetime.now(UTC))
        yield project


class Watch:
    """Follows the rows of one run until all are released, and records its cost."""

    def __init__(self, url: str, wanted: int, usage: Usage, progress: Progress, patience: float) -> None:
        self._url = url
        self._wanted = wanted
        self._patience = patience
        self._usage = usage
        self._bars = {name: progress.add_task(name, total=wanted) for name in STATES}
        self._progress = progress
        self.begun = time.monotonic()
        self.written = 0
        self.reached: dict[str, float] = {}

    async def until_quiet(self) -> None:
        """Wait until no row is written any more: all workflows wait for their windows. Raises `TimeoutError`."""
        connection = await asyncpg.connect(self._url)
        try:
            async with asyncio.timeout_at(self.begun + self._patience):
                written, since = -1, 0
                while since < QUIET:
                    before, written = written, await connection.fetchval(WRITTEN)
                    since = since + 1 if written == before else 0
                    self._usage.look()
                    await asyncio.sleep(1)
        finally:
            await connection.close()

    async def until(self, name: str) -> None:
        """Wait until all files are at this stage. Raises `RuntimeError` if some are lost, or if it takes too long."""
        connection = await asyncpg.connect(self._url)
        try:
            while True:
                row = await connection.fetchrow(COUNTS)
                for column, bar in self._bars.items():
                    self._progress.update(bar, completed=row[column])
                self._usage.look()
                if row["lost"] or time.monotonic() - self.begun > self._patience:
                    why = await connection.fetch(REASONS)
                    raise RuntimeError(
                        f"the quarantine failed or took too long: {dict(row)}; {[tuple(each) for each in why]}"
                    )
                if row[name] >= self._wanted:
                    self.reached[name] = time.monotonic() - self.begun
                    self._usage.look_now()
                    # PostgreSQL counts a session's rows at most once a second.
                    await asyncio.sleep(2 if name == "released" else 0)
                    self.written = await connection.fetchval(WRITTEN)
                    return
                await asyncio.sleep(1)
        finally:
            await connection.close()


def roots(koschey: Koschey) -> dict[str, int]:
    """Return the parts' processes by name; each is the leader of its own group."""
    found = {}
    signs = {"web": " web", "worker": " worker", "postgres": "postgres", "temporal": "temporal", "s3": "serve s3"}
    for child in psutil.Process(koschey.process.pid).children():
        command = " ".join(child.cmdline())
        for name, sign in signs.items():
            if name not in found and sign in command:
                found[name] = child.pid
    return found


async def events(koschey: Koschey) -> tuple[int, float]:
    """Count the runs of workflows, and the mean activities of a run in a sample: (runs, activities per run)."""
    from temporalio.client import Client  # noqa: PLC0415 - not needed for the other server

    client = await Client.connect(koschey.settings["KOSCHEY_TEMPORAL_ADDRESS"])
    sample: list[int] = []
    count = 0
    async for run in client.list_workflows("WorkflowType = 'HeldRelease'"):
        if len(sample) < SAMPLE:
            history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
            done = [event.HasField("activity_task_completed_event_attributes") for event in history.events]
            sample.append(sum(done))
        count += 1
    return count, sum(sample) / max(len(sample), 1)


def run_embedded(folder: Path, upstream: Upstream, given: argparse.Namespace, progress: Progress) -> Table:
    """Have a whole `koschey up` hold and release everything."""
    with Koschey(folder, upstream.url, days=given.window / DAY) as koschey:
        usage = Usage(roots(koschey))
        watch = Watch(
            koschey.settings["KOSCHEY_DATABASE_URL"], given.releases * given.files, usage, progress, given.patience
        )
        for name in fill(upstream, given.releases, given.files):
            ask(f"{koschey.index_url}{name}/")

        async def wait() -> tuple[int, float]:
            for state in STATES:
                await watch.until(state)
            return await events(koschey)

        runs, activities = asyncio.run(wait())
        return tell("koschey up", given, watch, usage, runs, activities)


def run_skipping(folder: Path, upstream: Upstream, given: argparse.Namespace, progress: Progress) -> Table:
    """Have a worker under the time-skipping server do it, with a window of seven days that is skipped."""
    with Koschey(folder, upstream.url) as koschey:

        async def run() -> Table:
            url = await new_database(koschey, "benchmark")
            async with skipping(koschey, url, upstream.url, runner=QUICK_RUNNER) as index:
                await register_checks(index.resources.pool)
                parts = {name: pid for name, pid in roots(koschey).items() if name in ("postgres", "s3")}
                parts["worker, Temporal and upstream"] = psutil.Process().pid
                usage = Usage(parts, without=koschey.process.pid)
                watch = Watch(url, given.releases * given.files, usage, progress, given.patience)
                for name in fill(upstream, given.releases, given.files):
                    await index.see(name)
                for state in STATES[:-1]:
                    await watch.until(state)
                await watch.until_quiet()
                patience = timedelta(seconds=given.patience)
                await index.pass_time(await index.resources.pool.fetchval(FIRST_END) - STEP, patience)
                ended = asyncio.Event()
                passing = asyncio.create_task(let_pass(index, watch, ended, patience))
                watching = asyncio.create_task(watch.until("released"))
                await asyncio.wait((passing, watching), return_when=asyncio.FIRST_COMPLETED)
                ended.set()
                await passing
                await watching
                return tell("time skipping", given, watch, usage, 0, 0)

        return asyncio.run(run())


async def let_pass(index: SkippingKoschey, watch: Watch, ended: asyncio.Event, patience: timedelta) -> None:
    """Let the windows end, a few at once. A running step is not cancelled: the server would not stop."""
    while not ended.is_set():
        await index.pass_time(STEP, patience)
        await watch.until_quiet()


def tell(title: str, given: argparse.Namespace, watch: Watch, usage: Usage, runs: int, activities: float) -> Table:
    """Return the table of the figures. `runs` is 0 if they were not counted."""
    table = Table("what", "figure", title=title)
    seconds = watch.reached["released"]
    figures: dict[str, Any] = {
        "releases": f"{given.releases:,}",
        "files": f"{given.releases * given.files:,}",
        "all listed after, s": f"{watch.reached['files']:.1f}",
        "all downloaded after, s": f"{watch.reached['stored']:.1f}",
        "all checked after, s": f"{watch.reached['checked']:.1f}",
        "all released after, s": f"{seconds:.1f}",
        "workflows/s (one for each release)": f"{given.releases / seconds:.1f}",
        "runs/s (a workflow may take several)": f"{runs / seconds:.1f}" if runs else "not counted",
        "activities/s": f"{runs * activities / seconds:.1f}" if runs else "not counted",
        "PostgreSQL rows written/s": f"{watch.written / seconds:,.0f}",
    }
    figures["CPU of all these parts, s a release"] = f"{sum(usage.cpu.values()) / given.releases:.3f}"
    for name, size in usage.rss.items():
        figures[f"{name}: maximum memory, MiB"] = f"{size / 2**20:.0f}"
        figures[f"{name}: CPU, s"] = f"{usage.cpu[name]:.1f}"
    for name, figure in figures.items():
        table.add_row(name, str(figure))
    return table


RUNS: dict[str, Callable[..., Table]] = {"skipping": run_skipping, "embedded": run_embedded}


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=3, choices=range(1, len(TAGS) + 1))
    parser.add_argument("--server", choices=[*RUNS, "both"], default="both")
    parser.add_argument("--window", type=float, default=30, help="the window, in seconds; for the embedded server")
    parser.add_argument("--patience", type=float, default=10_800, help="maximum duration of a run, in seconds")
    given = parser.parse_args()
    for name, run in RUNS.items():
        if given.server not in (name, "both"):
            continue
        with tempfile.TemporaryDirectory(prefix="koschey-benchmark-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o711)
            with ExitStack() as stack:
                upstream = stack.enter_context(Upstream())
                progress = stack.enter_context(Progress())
                table = run(Path(folder) / "data", upstream, given, progress)
            Console().print(table)


if __name__ == "__main__":
    main()
