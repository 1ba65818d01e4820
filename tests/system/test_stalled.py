"""A process that hears nothing trusts nothing: a block holds a second after its commit, also where no notice arrives.

The connection on which a web process hears of commits stalls, as over a network that drops packets, or the process is
stopped, as a host that is paused. In both cases no error tells it so.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.api import Api
from tests.support.app_in_process import Store
from tests.support.koschey_up import JSON, ask, wait_until
from tests.support.postgres import Postgres
from tests.support.split_processes import SplitProcesses, split_processes
from tests.support.upstream.server import Upstream

OLD = timedelta(days=30)
PROMISE = 1.0
"""Seconds after its commit in which a block is in force everywhere."""


class Line:
    """A TCP connection to PostgreSQL that can be made to stall: nothing is lost, nothing arrives."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def stall(self) -> None:
        """Let nothing through from now on."""
        self._flows.clear()

    def flow(self) -> None:
        """Let everything through."""
        self._flows.set()

    def close(self) -> None:
        """Take no connection any more."""
        self.flow()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._target) as far:
            back = threading.Thread(target=self._copy, args=(far, near), daemon=True)
            back.start()
            self._copy(near, far)
            back.join()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        # A mere close would wait for the other thread, which reads from the same socket.
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass
class Index:
    """An index with two web processes, of which the second hears of commits over a line that can stall."""

    parts: SplitProcesses
    line: Line
    deaf: str
    """The root of the second."""

    def lists(self, project: str) -> bool:
        """Whether the second lists files of a project; no answer is no list."""
        try:
            answer = ask(f"{self.deaf}/simple/{project}/", timeout=3, Accept=JSON)
        except OSError:
            return False
        return answer.status == 200 and bool(answer.json["files"])

    def block(self, project: str) -> float:
        """Block a project by way of the first; returns when the block was known to be committed."""
        api = Api(self.parts)
        body = {"choice": "block", "project": project, "version": "1.0", "reason": "a test"}
        assert api.call("POST", "decisions", body, token=api.token("admin")).status == 200
        return time.monotonic()


@pytest.fixture(scope="module")
def index(folder: Path, postgres: Postgres, s3: Store, shared_upstream: Upstream) -> Iterator[Index]:
    """Both processes run."""
    with split_processes(folder, postgres, s3, shared_upstream, {"KOSCHEY_QUARANTINE_DAYS": "1"}) as parts:
        url = urlsplit(parts.settings["KOSCHEY_DATABASE_URL"])
        assert url.hostname
        line = Line(url.hostname, url.port or 5432)
        through = url._replace(netloc=url.netloc.rpartition(":")[0] + f":{line.port}").geturl()
        parts.start_web()
        deaf = parts.start_web("deaf", {"KOSCHEY_DATABASE_URL": through})
        try:
            yield Index(parts, line, deaf)
        finally:
            line.close()


def see(index: Index, upstream: Upstream, project: str) -> None:
    """Have the second keep a project's page in memory."""
    upstream.add(project, "1.0", upload_time=datetime.now(UTC) - OLD)
    wait_until(lambda: index.lists(project))


def test_a_stalled_connection(index: Index, upstream: Upstream) -> None:
    """What was in memory when the line stalled is not served a second after a block; nor is it later."""
    see(index, upstream, "stalled")
    index.line.stall()
    try:
        blocked = index.block("stalled")
        time.sleep(max(0.0, blocked + PROMISE - time.monotonic()))
        assert not any(index.lists("stalled") for _ in range(3))
    finally:
        index.line.flow()
    wait_until(lambda: ask(f"{index.deaf}/simple/stalled/", Accept=JSON).status == 200, timeout=60)
    assert not index.lists("stalled")


def test_a_stopped_process(index: Index, upstream: Upstream) -> None:
    """A process that goes on after a pause answers nothing from memory before it has heard of what was committed."""
    see(index, upstream, "stopped")
    server = psutil.Process(index.parts.pid_of("deaf"))
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    with socket.create_connection(("127.0.0.1", urlsplit(index.deaf).port or 0)) as asked:
        # Sent while it is stopped, so that it is the first thing that the process finds to do.
        host = urlsplit(index.deaf).netloc
        asked.sendall(f"GET /simple/stopped/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        blocked = index.block("stopped")
        time.sleep(max(0.0, blocked + PROMISE - time.monotonic()))
        for process in processes:
            process.resume()
        asked.settimeout(30)
        answer = b"".join(iter(lambda: asked.recv(65536), b""))
    assert b"200" in answer.partition(b"\r\n")[0]
    assert b".whl" not in answer
    assert not any(index.lists("stopped") for _ in range(10))
