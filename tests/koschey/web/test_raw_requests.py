"""Requests over the wire as no client of ours sends them, under both servers: none is a 500."""

import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests.support.koschey_up import Koschey
from tests.support.web_processes import SERVERS, web_process


def raw(port: int, request: bytes) -> int:
    """The status of the answer to bytes as they are; 0 where there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request)
            found = re.match(rb"HTTP/1\.[01] (\d{3})", connection.recv(65536))
    except OSError:
        return 0
    return int(found[1]) if found else 0


def request(target: bytes, method: bytes = b"GET", head: bytes = b"Host: a\r\n") -> bytes:
    """A request with this target."""
    return method + b" " + target + b" HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n"


LONG = b"x" * 10**6
RAW = {
    "connect": (request(b"x:80", b"CONNECT"), {400}),
    "options of all": (request(b"*", b"OPTIONS"), {405}),
    "star": (request(b"*"), {400, 405}),
    "no slash": (request(b"simple/"), {400}),
    "absolute": (request(b"http://a/simple/"), {200}),
    "absolute without path": (request(b"http://a"), {200}),
    "absolute in capitals": (request(b"HTTP://a/simple/"), {200, 400}),
    "absolute that is none": (request(b"http://[::1/simple/"), {400}),
    "another scheme": (request(b"ftp://a/simple/"), {200, 400, 404}),
    "method": (request(b"/simple/", b"BREW"), {405}),
    "trace": (request(b"/simple/", b"TRACE"), {405}),
    "small letters": (request(b"/simple/", b"get"), {200, 400, 405}),
    "nul": (request(b"/packages/%00"), {400}),
    "bytes": (request(b"/packages/\xff"), {400}),
    "utf-8": (request("/packages/ü".encode()), {400, 404}),
    "no host": (request(b"/simple/", head=b""), {400}),
    "empty host": (request(b"/simple/", head=b"Host:\r\n"), {400}),
    "two hosts": (request(b"/simple/", head=b"Host: a\r\nHost: b\r\n"), {400}),
    "long host": (request(b"/simple/", head=b"Host: " + b"a" * 300 + b"\r\n"), {400}),
    "long label": (request(b"/simple/", head=b"Host: " + b"a" * 70 + b"\r\n"), {200, 400}),
    "spaces in the host": (request(b"/simple/", head=b"Host: a b\r\n"), {400}),
    "long header": (request(b"/simple/", head=b"Host: a\r\nX: " + LONG + b"\r\n"), {400, 431, 0}),
    "long target": (request(b"/simple/" + LONG), {400, 414, 431, 0}),
    "many headers": (request(b"/simple/", head=b"Host: a\r\n" + b"X: y\r\n" * 1000), {200, 400, 431, 0}),
    "length": (request(b"/legacy/", b"POST", b"Host: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n"), {400}),
    "websocket": (
        request(
            b"/simple/",
            head=b"Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
        {200, 400, 403},
    ),
}
"""Requests as no client of ours sends them, and the statuses that are right; 0 where the server ends the connection."""


@pytest.fixture(scope="module", params=SERVERS)
def port(request: pytest.FixtureRequest, koschey: Koschey) -> Iterator[int]:
    """A web process under each server."""
    with web_process(koschey, request.param) as web:
        yield web.port


@pytest.mark.parametrize("name", RAW)
def test_requests_as_they_are(port: int, name: str) -> None:
    """B1: no request target, method or header is a 500, and the process answers the next request."""
    sent, statuses = RAW[name]
    assert raw(port, sent) in statuses
    assert raw(port, request(b"/simple/")) == 200


def test_no_redirect_names_the_host_over_the_wire(port: int) -> None:
    """B4: whatever host a request claims, by the servers themselves."""
    for path in ("/held/six", "/held/six/1.0", "/legacy/+simple/six", "/simple/Six/", "/admin", "/simple/x?y"):
        answer = ask_once(port, path)
        assert answer.startswith("/"), path
        assert "evil" not in answer


def ask_once(port: int, path: str) -> str:
    """Where a request that claims another host is sent to."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": "evil.example"})
    location = connection.getresponse().headers.get("Location")
    connection.close()
    return location or ""
