"""The server of web processes: which one runs, and that it sends a large file whole and in parts."""

from http.client import HTTPConnection

import pytest

from tests.support.archives import wheel
from tests.support.koschey_up import Koschey
from tests.support.log_lines import events
from tests.support.upstream.server import Upstream

MIB = 2**20


def test_server_of_this_run(koschey: Koschey, request: pytest.FixtureRequest) -> None:
    """It is granian, and with `--hypercorn` hypercorn."""
    server = "hypercorn" if request.config.getoption("--hypercorn") else "granian"
    log = (koschey.data / "logs" / "web.log").read_text()
    assert {line["server"] for line in events(log, "the web server starts")} == {server}


def test_large_file_over_one_connection(koschey: Koschey, upstream: Upstream) -> None:
    """Cold, warm, a range, the end, the head and what is unchanged: each answer is exact, and the connection stays."""
    file = upstream.add("sr-large", "1.0", content=wheel("sr-large", "1.0", padding=9 * MIB)[1])
    path, body = koschey.page("sr-large")["files"][0]["url"], file.content
    connection = HTTPConnection("127.0.0.1", koschey.port, timeout=60)

    def ask(method: str = "GET", **headers: str) -> tuple[int, bytes, str]:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["ETag"]

    try:
        status, cold, etag = ask()
        assert (status, cold == body) == (200, True)
        socket = connection.sock
        assert ask() == (200, cold, etag)
        assert ask(Range=f"bytes={5 * MIB}-{8 * MIB}") == (206, body[5 * MIB : 8 * MIB + 1], etag)
        assert ask(Range="bytes=-100") == (206, body[-100:], etag)
        assert ask("HEAD") == (200, b"", etag)
        assert ask(If_None_Match=etag) == (304, b"", etag)
        assert connection.sock is socket
    finally:
        connection.close()
