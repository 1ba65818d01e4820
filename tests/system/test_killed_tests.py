"""Tests that are killed leave no server behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.bound_processes import bound

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[2]
SERVERS = ("koschey up", "koschey web", "koschey worker", "/postgres", "/rclone", "/temporal ", "/temporal-test-server")
ENDED = 60
"""Maximum number of seconds until all of them have ended: `koschey up` stops its parts in order."""
KILLED = '''\
"""Starts a server of every kind, says so, and waits to be killed."""

import asyncio

from temporalio.testing import WorkflowEnvironment

from tests.support.bound_processes import bound_program
from tests.support.temporal_cli import program


async def test_waits(koschey, s3, postgres):
    path = bound_program(program("temporal-test-server"))
    async with await WorkflowEnvironment.start_time_skipping(test_server_existing_path=path):
        print("started", flush=True)
        await asyncio.sleep(600)
'''


@pytest.fixture
def killed(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A pytest in a session of its own, whose only test has started servers and waits."""
    home = folder / "killed"
    home.mkdir()
    home.chmod(0o711)  # PostgreSQL's account must be able to enter it
    (home / "test_waits.py").write_text(KILLED)
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider", "-n", "0", "-s"]
    command = bound([sys.executable, "-m", "pytest", *options, str(home / "test_waits.py")])
    environment = os.environ | {"TMPDIR": str(home)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        said = ""
        while line := process.stdout.readline():
            said += line
            if "started" in line:
                break
        assert "started" in said, said
        yield process
        process.kill()


def command_of(process: psutil.Process) -> str:
    """The command line of a process; empty if it has just ended, as a process of PostgreSQL may."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems send no signal when a parent dies")
def test_servers_end_with_a_killed_pytest(killed: subprocess.Popen[str]) -> None:
    """`koschey up` with its parts, PostgreSQL, S3 and both servers of Temporal end soon after the tests are killed."""
    started = psutil.Process(killed.pid).children(recursive=True)
    commands = "\n".join(command_of(process) for process in started)
    assert [server for server in SERVERS if server not in commands] == []
    killed.send_signal(signal.SIGKILL)
    _, left = psutil.wait_procs(started, timeout=ENDED)
    assert left == []
