"""Large answers from memory: they leave whole while few bytes are on their way, else in pieces."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from koschey.web import stalls
from koschey.web.stalls import PIECE, LargeAnswers
from tests.support.koschey_up import ask, wait_until
from tests.support.split_processes import free_port
from tests.support.web_processes import answers

BODY = bytes(range(256)) * 2**14
START = {"type": "http.response.start", "status": 200, "headers": []}
APP = """
from koschey.web.stalls import LargeAnswers

BODY = bytes(range(256)) * 2**14
large = LargeAnswers()

async def app(scope, receive, send):
    body = BODY if scope["path"] == "/large" else str(large.left).encode()
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
    if body is BODY:
        await large.send(send, start, body)
    else:
        await send(start)
        await send({"type": "http.response.body", "body": body})
"""
GRANIAN = (sys.executable, "-m", "granian", "--interface", "asgi", "--no-ws", "--http", "1")
HYPERCORN = (sys.executable, "-m", "hypercorn")


class Client:
    """What an application sends to a client that reads only while it may."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.may_read = asyncio.Event()

    async def take(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            await self.may_read.wait()
        self.received.append(message)

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.received[1:]]


async def test_bytes_on_their_way_are_bounded() -> None:
    """While one client reads nothing, the next one receives its answer in pieces; after that, whole again."""
    large = LargeAnswers(len(BODY) + 1)
    first, second, third = Client(), Client(), Client()
    for client in (second, third):
        client.may_read.set()
    sending = asyncio.create_task(large.send(first.take, START, BODY))
    await asyncio.sleep(0)
    assert large.left == 1
    await large.send(second.take, START, BODY)
    assert max(map(len, second.bodies)) == PIECE
    first.may_read.set()
    await sending
    assert large.left == len(BODY) + 1
    await large.send(third.take, START, BODY)
    assert max(map(len, third.bodies)) == len(BODY)
    for client in (first, second, third):
        assert b"".join(client.bodies) == BODY
        assert [message["more_body"] for message in client.received[1:]][-2:] == [True, False]


async def test_client_that_stalls_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads too slowly loses its connection, and its bytes count no more."""
    monkeypatch.setattr(stalls, "STALL", 0.1 * PIECE / len(BODY))
    large, client = LargeAnswers(), Client()
    before = large.left
    with pytest.raises(ConnectionAbortedError):
        await large.send(client.take, START, BODY)
    assert large.left == before


@contextmanager
def served(tmp_path: Path, command: tuple[str, ...], address: str) -> Iterator[str]:
    """The application above under a real server."""
    tmp_path.joinpath("large_answers.py").write_text(APP)
    port = free_port()
    where = (address, f"127.0.0.1:{port}") if address == "--bind" else (address, str(port))
    started = subprocess.Popen([*command, *where, "large_answers:app"], cwd=tmp_path)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait(30)


@pytest.mark.parametrize(("command", "address"), [(GRANIAN, "--port"), (HYPERCORN, "--bind")])
def test_servers_say_when_an_answer_is_read(tmp_path: Path, command: tuple[str, ...], address: str) -> None:
    """Under both servers an answer counts until its client has read it, or has gone."""
    with served(tmp_path, command, address) as url:
        assert ask(f"{url}/large").body == BODY

        def left() -> int:
            return int(ask(f"{url}/left").body)

        wait_until(lambda: left() == stalls.WHOLE)
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect((host, int(port)))
            stalled.sendall(f"GET /large HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            wait_until(lambda: left() == stalls.WHOLE - len(BODY))
        wait_until(lambda: left() == stalls.WHOLE)
