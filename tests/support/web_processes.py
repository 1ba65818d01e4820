"""Web processes beside a running index, under one of the two servers and with settings of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.absent_modules import without
from tests.support.bound_processes import bound
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.split_processes import free_port

SERVERS = ("granian", "hypercorn")
START = 240
"""Maximum number of seconds until a process is ready, even if many others start. One that ends is noticed at once."""


class Web(NamedTuple):
    """A running web process."""

    port: int
    process: subprocess.Popen[bytes]


@contextmanager
def web_process(
    koschey: Koschey,
    server: str | None = None,
    is_ready: Callable[[], bool] | None = None,
    log: Path | None = None,
    *,
    method: str = "spawn",
    **variables: str,
) -> Iterator[Web]:
    """Start `koschey web` on the stores of that index; Python's start method `method` starts its workers.

    Without a server, it is the one of this run (`--hypercorn`). Its output goes to the log, if one is given.
    """
    port = free_port()
    code = (
        f"import multiprocessing; multiprocessing.set_start_method('{method}'); "
        "from koschey import serve, settings; serve.serve(settings.load_settings())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KOSCHEY_")}
    environment |= koschey.settings | {"KOSCHEY_PORT": str(port), "KOSCHEY_WEB_PROCESSES": "1"} | variables
    if server is not None:
        environment |= without("granian") if server == "hypercorn" else without()
    output = log.open("wb") if log else None
    process = subprocess.Popen(bound([sys.executable, "-c", code]), env=environment, stdout=output, stderr=output)
    try:
        ready = is_ready or (lambda: answers(f"http://127.0.0.1:{port}"))
        wait_until(lambda: process.poll() is not None or ready(), timeout=START)
        assert process.poll() is None, f"koschey web ended with {process.returncode}"
        yield Web(port, process)
    finally:
        process.terminate()
        process.wait(60)
        if output is not None:
            output.close()


@contextmanager
def web_process_url(koschey: Koschey, **variables: str) -> Iterator[str]:
    """The URL of a further web process beside the shared ones, with counters and settings of its own."""
    with web_process(koschey, None, None, None, **variables) as web:
        yield f"http://127.0.0.1:{web.port}"


@pytest.fixture(scope="session")
def closed_url(koschey: Koschey) -> Iterator[str]:
    """The root URL of a web process of the shared index that refuses clients without a login."""
    with web_process_url(koschey, KOSCHEY_ANONYMOUS_READING="false") as url:
        yield url


def answers(url: str) -> bool:
    """Return whether an index answers at this URL."""
    try:
        return ask(f"{url}/_/health").status == 200
    except OSError:
        return False
