"""Which event loop web and worker run on, and that children of both loops behave alike."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from koschey.concurrency.loops import loop_factory, running_loop
from koschey.hosting.upload_rules.description import find_fault
from koschey.inspection.archives.limits import Limits
from koschey.inspection.checks import registry
from koschey.inspection.checks.isolate import CheckOutcome, Isolated
from koschey.inspection.sandbox.inspector import Inspector
from koschey.standards.core_metadata import parse_core_metadata
from tests.support.absent_modules import without
from tests.support.app_in_process import Store
from tests.support.archives import wheel
from tests.support.facts import facts_of
from tests.support.koschey_up import wait_until
from tests.support.log_lines import events
from tests.support.plugins import check_source, install
from tests.support.postgres import Postgres
from tests.support.split_processes import split_processes
from tests.support.upstream.server import Upstream

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

type Runs = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Runs:
    """Runs a coroutine on each of the loops."""

    def on_loop(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(main)

    return on_loop


@pytest.mark.parametrize("server", ["granian", "hypercorn"])
@pytest.mark.soak
@pytest.mark.parametrize("loop", LOOPS)
def test_loop_of_web_processes(
    folder: Path, postgres: Postgres, s3: Store, shared_upstream: Upstream, server: str, loop: str
) -> None:
    """Under both servers a web process runs on uvloop, and where that is not installed on asyncio's loop."""
    absent = [*(["granian"] if server == "hypercorn" else []), *(["uvloop"] if loop == "asyncio" else [])]
    with split_processes(folder, postgres, s3, shared_upstream, without(*absent)) as index:
        index.start_web()
        log = index.log_of("web")
    assert [line["server"] for line in events(log, "the web server starts")] == [server]
    assert [line["loop"] for line in events(log, "this web process is ready")] == [loop]


@pytest.mark.soak
@pytest.mark.parametrize("loop", LOOPS)
def test_loop_of_a_worker(folder: Path, postgres: Postgres, s3: Store, shared_upstream: Upstream, loop: str) -> None:
    """A worker too."""
    absent = ["uvloop"] if loop == "asyncio" else []
    with split_processes(folder, postgres, s3, shared_upstream, without(*absent)) as index:
        index.start_temporal()
        index.start_worker()
        log = index.log_of("worker")
    assert [line["loop"] for line in events(log, "this worker is ready")] == [loop]


def test_factory_where_uvloop_is_installed() -> None:
    """The factory makes the loop whose name is logged."""

    async def name() -> str:
        return running_loop()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert runner.run(name()) == "uvloop"


def test_archives_are_inspected(run: Runs) -> None:
    """A child of the forking process answers over its socket, and one that takes too long is ended."""
    filename, content = wheel("lp-thing", "1.0")

    async def inspect(limits: Limits) -> str:
        with os.fdopen(os.memfd_create("archive"), "wb") as file:
            file.write(content)
            file.flush()
            return (await Inspector(limits).inspect(file.fileno(), filename)).project

    assert run(inspect(Limits())) == "lp-thing"
    with pytest.raises(Exception, match="could not be read within 0 seconds"):
        run(inspect(Limits(wall=0)))


def test_descriptions_are_rendered(run: Runs) -> None:
    """A child reads its standard input to the end, and says how it ended."""

    def described(text: str) -> Any:
        head = "Metadata-Version: 2.1\nName: x\nVersion: 1\nDescription-Content-Type: text/x-rst\n\n"
        return find_fault(parse_core_metadata((head + text).encode(), "METADATA"))

    assert run(described("Title\n=====\n" + "A line of the text.\n" * 20_000)) is None
    assert "failed to render" in run(described("Title\n==\n\n.. unknown::\n"))


def ask(run: Runs, folder: Path, monkeypatch: pytest.MonkeyPatch, *body: str, limits: Limits | None = None) -> Any:
    """Install a check of these lines, and have it look at a file."""
    name, content = wheel("thing", "1.0")
    install(folder, monkeypatch, check_source("acme", *body), {"acme": "acme_checks:CHECK"})

    async def look() -> CheckOutcome:
        check = (await registry.load(limits))[-1]
        assert isinstance(check, Isolated)
        with os.fdopen(os.memfd_create("archive"), "wb") as file:
            file.write(content)
            file.flush()
            return await check.run(facts_of(name, content), file.fileno(), None)

    return run(look())


def test_checks_inherit_nothing_else(run: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check has its file and the three standard descriptors, whatever else this process lets children inherit."""
    shared = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(shared, True)
    monkeypatch.setenv("SECRET", "x")
    body = (
        "files = [os.path.realpath('/proc/self/fd/' + name) for name in os.listdir('/proc/self/fd') if int(name) > 2]",
        "told = {'group': os.getpgid(0) == os.getpid(), 'files': files}",
        "told['secret'] = 'SECRET' in os.environ",
        "return [Finding('odd', Severity.INFO, 'x', told)]",
    )
    try:
        outcome = ask(run, tmp_path, monkeypatch, *body)
    finally:
        os.close(shared)
    assert outcome.fault is None
    (found,) = outcome.findings
    assert found.evidence["group"]
    assert not found.evidence["secret"]
    # The descriptor with which the check listed them is among them.
    assert [file for file in found.evidence["files"] if "/fd" not in file] == ["/memfd:archive (deleted)"]


def test_checks_are_ended(run: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that never ends is killed with all that it started."""
    pid = tmp_path / "pid"
    body = (
        "import subprocess, time",
        f"open({str(pid)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid))",
        "time.sleep(600)",
    )
    outcome = ask(run, tmp_path, monkeypatch, *body, limits=Limits(wall=5))
    assert outcome.fault == "it did not end within 5 seconds"
    started = int(pid.read_text())
    wait_until(lambda: not psutil.pid_exists(started) or psutil.Process(started).status() == psutil.STATUS_ZOMBIE)
