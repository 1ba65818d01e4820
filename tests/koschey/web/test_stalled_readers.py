"""Clients that read nothing: they keep no connection that others wait for, and are broken off."""

import asyncio
import hashlib
import socket
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import pytest_asyncio

from koschey.model import Sha256
from koschey.settings import Settings
from koschey.storage import lines as lines_module
from koschey.storage.blobs import stream_blob
from koschey.storage.lines import Line, Lines
from koschey.storage.s3 import Bucket, OpenBucket, blob_key
from koschey.web import stalls
from tests.support.app_in_process import AppInProcess
from tests.support.archives import noise
from tests.support.bucket import BucketProxy
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.upstream.server import Upstream, UpstreamFile

STALLED = 150
"""Clients that read nothing; more than the S3 connections of a process."""
MIB = 2**20


# Lines


class Stream:
    """A stream that holds a line while its client reads, and while it does not."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.lines_had = 0
        self.closed = 0
        self.reads = asyncio.Event()
        self.done = asyncio.Event()
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        while not self.done.is_set():
            async with self.lines.acquire() as line:
                self.lines_had += 1
                line.close = self.close
                await self.use(line)

    async def use(self, line: Line) -> None:
        while not (line.is_lost or self.done.is_set()):
            with line.idle():
                await self.reads.wait()
            await asyncio.sleep(0)

    def close(self) -> None:
        self.closed += 1

    async def end(self) -> None:
        self.done.set()
        self.reads.set()
        await self.task


async def had(*streams: Stream, timeout: float = 10) -> None:
    """Wait until all streams have had a line."""
    async with asyncio.timeout(timeout):
        while not all(stream.lines_had for stream in streams):
            await asyncio.sleep(0.005)


async def test_streams_that_stall_give_way() -> None:
    """Of ten clients that read nothing only as many as there are lines hold one, and each newcomer gets one."""
    lines = Lines(2)
    stalled = [Stream(lines) for _ in range(10)]
    await had(*stalled)
    assert lines.count == 2
    assert sum(stream.closed for stream in stalled) == 8
    for stream in stalled:
        await stream.end()
    assert lines.count == 0


async def test_stalled_stream_keeps_its_line_while_nobody_waits() -> None:
    """A slow client costs one connection and one request, as long as there is room for others."""
    lines = Lines(2)
    stalled, other = Stream(lines), Stream(lines)
    await asyncio.sleep(3 * lines_module.PATIENCE)
    await had(stalled, other)
    assert (stalled.closed, stalled.lines_had) == (0, 1)
    for stream in (stalled, other):
        await stream.end()


async def test_streams_that_read_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that read all the time do not keep others waiting for longer than a turn."""
    monkeypatch.setattr(lines_module, "TURN", 0.05)
    lines = Lines(1)
    eager = [Stream(lines) for _ in range(3)]
    for stream in eager:
        stream.reads.set()
    await had(*eager)
    assert all(not stream.closed for stream in eager)
    for stream in eager:
        await stream.end()


async def test_client_that_goes_away_while_it_waits_leaves_no_gap() -> None:
    """A stream that is cancelled in the queue takes no line with it."""
    lines = Lines(1)
    first = Stream(lines)
    first.reads.set()
    await had(first)
    waiting = [Stream(lines) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiting[0].task.cancel()
    await asyncio.gather(waiting[0].task, return_exceptions=True)
    await first.end()
    await had(*waiting[1:])
    for stream in waiting[1:]:
        await stream.end()
    assert lines.count == 0


# Streams of the bucket


@pytest.fixture(scope="module")
def proxy(s3: Mapping[str, str]) -> Iterator[BucketProxy]:
    """A door in front of the bucket, which counts what is read."""
    with BucketProxy(s3["s3_endpoint"], s3["s3_bucket"]) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def bucket(s3: Mapping[str, str], proxy: BucketProxy) -> AsyncGenerator[Bucket]:
    """A bucket with three lines."""
    given = {**s3, "s3_endpoint": proxy.url, "database_url": "postgresql://localhost/none"}
    async with OpenBucket(Settings.model_validate(given)) as opened:
        yield Bucket(opened.client, opened.name, Lines(3))


async def test_interrupted_streams_are_exact(bucket: Bucket, proxy: BucketProxy) -> None:
    """Streams whose clients pause again and again, more of them than lines, bring every byte exactly once."""
    content = noise("exact", 2 * MIB)
    digest = Sha256(hashlib.sha256(content).hexdigest())
    await bucket.put(blob_key(digest), content)
    most = 0

    async def read(pause: float) -> bytes:
        nonlocal most
        received = bytearray()
        async for chunk in stream_blob(bucket, digest, len(content)):
            received += chunk
            most = max(most, bucket.lines.count)
            await asyncio.sleep(pause)
        return bytes(received)

    bodies = await asyncio.gather(*(read(0.06 * (number % 3)) for number in range(9)))
    assert {hashlib.sha256(body).hexdigest() for body in bodies} == {digest}
    assert most == 3
    assert proxy.count("GET", blob_key(digest)) > 10
    assert bucket.lines.count == 0


# Answers


def test_answer_that_nobody_takes_is_broken_off(
    app: AppInProcess, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that takes nothing for a while is broken off, and its line of the bucket is free again."""
    monkeypatch.setattr(stalls, "STALL", 0.3)
    file = upstream.add("stalled-inside", "1.0", size=MIB)
    app.page("stalled-inside")
    app.store(file.filename)
    taken: list[int] = []

    async def take_nothing(message: Any) -> None:
        taken.append(len(message.get("body", b"")))
        if len(taken) > 3:
            await asyncio.Event().wait()

    with pytest.raises(ConnectionAbortedError):
        app.run(app.app(scope_of(file.path), never, take_nothing))
    assert max(taken) <= stalls.PIECE
    assert app.resources.bucket.lines.count == 0


def scope_of(path: str) -> dict[str, Any]:
    """The scope of a GET."""
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8080),
        "extensions": {},
    }  # fmt: skip


async def never() -> Any:
    """A client that sends nothing more, and stays."""
    await asyncio.Event().wait()


# A whole index


def stalled_client(koschey: Koschey, file: UpstreamFile) -> socket.socket:
    """A client that asks for a file and reads nothing of the answer."""
    where = urlsplit(koschey.url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((where.hostname, where.port))
    client.sendall(f"GET {file.path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
    return client


def ends(client: socket.socket) -> int:
    """How many bytes a connection brings until it ends."""
    client.settimeout(5)
    received = 0
    try:
        while piece := client.recv(MIB):
            received += len(piece)
    except ConnectionError:
        pass
    return received


@pytest.mark.soak
def test_others_are_served_while_many_read_nothing(folder: Path, upstream: Upstream) -> None:
    """L5: 150 clients that read nothing keep nobody from a download, all are broken off; S3 reads ahead for none."""
    with Koschey(folder / "stalled", upstream.url) as koschey:
        large = upstream.add_large("stalled-large", "1.0", size=30 * MIB)
        other = upstream.add_large("stalled-other", "1.0", size=2 * MIB)
        for file in (large, other):
            koschey.page(file.project)
            assert ask(koschey.url + file.path).status == 200
        clients = [stalled_client(koschey, large) for _ in range(STALLED)]
        begun = time.monotonic()
        while time.monotonic() - begun < stalls.STALL / 2:
            answer = ask(koschey.url + other.path, timeout=stalls.STALL)
            assert hashlib.sha256(answer.body).hexdigest() == other.sha256
            time.sleep(0.5)
        parts = psutil.Process(koschey.process.pid).children(recursive=True)
        [rclone] = [part for part in parts if Path(part.cmdline()[0]).name == "rclone"]
        assert rclone.memory_info().rss < 400 * MIB
        ours, port = {client.getsockname()[1] for client in clients}, urlsplit(koschey.url).port
        in_time = stalls.STALL + 2 * stalls.UNACKNOWLEDGED / 1000
        wait_until(lambda: not ours & served_ports(parts, port), timeout=in_time)
        assert ends(clients[0]) < large.size
        for client in clients:
            client.close()


def served_ports(parts: list[psutil.Process], port: int | None) -> set[int]:
    """The ports of clients of this port whose connections a part of the index has open.

    Connections to other servers, such as PostgreSQL, may have the same client port.
    """
    found = [connection for part in parts for connection in part.net_connections("tcp")]
    return {one.raddr.port for one in found if one.status == "ESTABLISHED" and one.laddr.port == port}
