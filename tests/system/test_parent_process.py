"""Workers of a web server end when the server is killed: the port is free, and nobody serves the old version."""

import signal
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.support.archives import wheel
from tests.support.koschey_up import Koschey, wait_until
from tests.support.uploads import upload
from tests.support.upstream.server import Upstream
from tests.support.web_processes import web_process

pytestmark = pytest.mark.soak


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("server", "method"), [("granian", "spawn"), ("granian", "fork"), ("hypercorn", "spawn")], ids=str
)
def test_workers_end_with_a_killed_server(koschey: Koschey, server: str, method: str) -> None:
    """SIGKILL to the server ends both workers and all that they started, and frees the port at once."""
    with web_process(koschey, server, method=method, KOSCHEY_WEB_PROCESSES="2") as web:
        # An upload is inspected in processes that the worker starts.
        filename, content = wheel(f"pp-{server}-{method}", "1.0")
        there: Any = SimpleNamespace(url=f"http://127.0.0.1:{web.port}", ready=koschey.ready)
        assert upload(there, (filename, content)).status == 200
        started = psutil.Process(web.process.pid).children(recursive=True)
        assert len([process for process in started if "resource_tracker" not in " ".join(process.cmdline())]) >= 2
        web.process.send_signal(signal.SIGKILL)
        web.process.wait(10)
        wait_until(lambda: not listens(web.port))
        _, left = psutil.wait_procs(started, timeout=20)
        assert left == []
        with socket.create_server(("127.0.0.1", web.port)):
            pass


def test_workers_end_where_all_above_them_is_killed(folder: Path, shared_upstream: Upstream) -> None:
    """`koschey up` and its web server are killed at once: no worker stays behind on the port."""
    koschey = Koschey(folder / "parents", shared_upstream.url, web_processes=2).start()
    server, port = psutil.Process(koschey.ready["pids"]["web"]), koschey.port
    above = [psutil.Process(koschey.process.pid), server]
    started = server.children(recursive=True)
    for process in above:
        process.suspend()
    for process in above:
        process.kill()
    koschey.stop()
    _, left = psutil.wait_procs(started, timeout=20)
    assert left == []
    assert not listens(port)
