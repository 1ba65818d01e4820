"""What `koschey web` listens on: addresses of both families, names, and unix sockets."""

import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from koschey.errors import StartError
from koschey.serve import ListenAddress, find_listen_address
from koschey.settings import Settings
from tests.support.examples import DATABASE
from tests.support.koschey_up import Koschey
from tests.support.split_processes import free_port
from tests.support.unix_socket import status
from tests.support.upstream.server import Upstream
from tests.support.web_processes import SERVERS, answers, web_process


@pytest.fixture
def place() -> Iterator[Path]:
    """The path for a socket, short enough for one."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "web.sock"


def listening(host: str, port: int = 8080, **more: str) -> ListenAddress:
    """What is listened on with these settings."""
    return find_listen_address(Settings.model_validate({"database_url": DATABASE, "host": host, "port": port, **more}))


def at(place: Path) -> ListenAddress:
    """What is listened on at a socket."""
    return listening(f"unix:{place}", base_url="https://index.example.org")


@pytest.mark.parametrize("server", SERVERS)
def test_unix_socket(koschey: Koschey, place: Path, server: str) -> None:
    """An index listens on a unix socket that its group may use, also where a killed process left one."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    variables = {"KOSCHEY_HOST": f"unix:{place}", "KOSCHEY_BASE_URL": "https://index.example.org"}
    variables |= {"KOSCHEY_TRUSTED_PROXIES": "unix:", "KOSCHEY_WEB_PROCESSES": "2"}
    with web_process(koschey, server, lambda: status(place) == 200, None, **variables):
        assert stat.S_IMODE(place.stat().st_mode) == 0o660
        assert status(place, "/simple/") == 200
        assert status(place, "/simple/", X_Forwarded_For="192.0.2.9") == 200
        assert status(place, "/simple/", Host="evil.example") == 421
        with pytest.raises(StartError, match="another process listens"):
            at(place)
    assert status(place) == 0


def test_download_over_a_socket(koschey: Koschey, place: Path, shared_upstream: Upstream) -> None:
    """The client of a download is who the proxy at the socket reports."""
    shared_upstream.add("sv-socket", "1.0")
    koschey.page("sv-socket")
    path = koschey.path_of("sv_socket-1.0-py3-none-any.whl")
    query = "SELECT address FROM download JOIN file ON file.id = file_id WHERE path = $1 ORDER BY download.id DESC"
    for trusted, address in (("unix:", "192.0.2.9"), ("10.0.0.0/8", "")):
        variables = {"KOSCHEY_HOST": f"unix:{place}", "KOSCHEY_BASE_URL": "https://index.example.org"}
        variables["KOSCHEY_TRUSTED_PROXIES"] = trusted
        with web_process(koschey, None, lambda: status(place) == 200, None, **variables):
            assert status(place, path, X_Forwarded_For="192.0.2.9") == 200
            assert koschey.fetch_value(query, path) == address


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("host", "url"), [("::1", "http://[::1]"), ("[::1]", "http://[::1]"), ("localhost", None)])
def test_addresses_and_names(koschey: Koschey, server: str, host: str, url: str | None) -> None:
    """An index listens on IPv6, written either way, and on what a name stands for."""
    port = free_port()
    root = f"{url or 'http://localhost'}:{port}"
    with web_process(koschey, server, lambda: answers(root), KOSCHEY_HOST=host, KOSCHEY_PORT=str(port)):
        assert answers(root)


def test_socket_that_cannot_be_taken(place: Path) -> None:
    """What is no socket, or has no folder, or is in use, is left alone, in one line that says what to do."""
    assert at(place) == ListenAddress("", 0, place)
    place.write_text("mine")
    with pytest.raises(StartError, match="is a file and no unix socket"):
        at(place)
    assert place.read_text() == "mine"
    with pytest.raises(StartError, match="does not exist"):
        at(place.parent / "none" / "web.sock")
    with pytest.raises(StartError, match="longer than 107 bytes"):
        at(place.parent / ("x" * 108))


def test_unix_socket_needs_a_public_address(place: Path) -> None:
    """Nobody can be told a socket."""
    with pytest.raises(ValueError, match="KOSCHEY_BASE_URL: users cannot reach a unix socket"):
        listening(f"unix:{place}")


def test_port_and_host_that_cannot_be_taken() -> None:
    """The error names the address and what to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"cannot listen on 127.0.0.1 port {port}: .*KOSCHEY_PORT"):
            listening("127.0.0.1", port)
    with pytest.raises(StartError, match=r"cannot listen on no.such.invalid port .*KOSCHEY_HOST"):
        listening("no.such.invalid")


@pytest.mark.parametrize("address", ["::1:7233", "temporal", "[::1]", "http://temporal:7233", ""])
def test_address_of_temporal(address: str) -> None:
    """It has a port, and an IPv6 address stands in brackets."""
    with pytest.raises(ValueError, match="not a host and a port"):
        Settings.model_validate({"database_url": DATABASE, "temporal_address": address})
    Settings.model_validate({"database_url": DATABASE, "temporal_address": "[::1]:7233"})
