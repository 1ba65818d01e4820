"""Starts a server, waits until it answers, and ends it by its process id; knows when it has nothing left to do."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.peers.http1 import Connection, HttpError

START = 120.0
"""Seconds within which a server must answer."""
STOP = 60.0
QUIET, LOOK, SETTLE = 0.1, 0.5, 30.0
"""A server has settled when it used less than QUIET of a core for LOOK seconds; after SETTLE seconds nobody waits."""
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")
"""The only variables of the user's that servers and installers see: others configure them."""


class ServerError(Exception):
    """A server did not start."""


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def bare_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which nothing of the user's configures a server or an installer."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"} | dict(extra or {})


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, timeout: float = 600) -> str:
    """Run a command to its end and return what it printed. Raises `ServerError` with its errors."""
    done = subprocess.run(
        command,
        env=dict(environment or bare_environment()),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise ServerError(
            f"{Path(command[0]).name} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}"
        )
    return done.stdout


@contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    is_ready: Callable[[], bool],
    stop: signal.Signals,
) -> Iterator[psutil.Process]:
    """Run a server until the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _await(process, is_ready, log)
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(stop)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP)
            process.kill()
            process.wait(STOP)


def answers(url: str) -> bool:
    """Return whether a page is served at this URL."""
    try:
        with Connection(url) as connection:
            return connection.get(url).head.status == 200
    except (OSError, HttpError):
        return False


def settle(process: psutil.Process | None) -> None:
    """Wait until the server and its children have nothing left to do, so that one row does not slow down the next."""
    if process is None:
        return
    deadline, used = time.monotonic() + SETTLE, _used(process)
    while time.monotonic() < deadline:
        time.sleep(LOOK)
        before, used = used, _used(process)
        if used - before < QUIET * LOOK:
            return


def _used(root: psutil.Process) -> float:
    seconds = 0.0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


def _await(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
