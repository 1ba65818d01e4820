"""An HTTP client over a unix socket."""

import socket
from http.client import HTTPConnection
from pathlib import Path


class OverSocket(HTTPConnection):
    """An HTTP connection over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("index.example.org", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def status(path: Path, target: str = "/_/health", **headers: str) -> int:
    """The status of an answer over a socket; 0 if nobody listens."""
    connection = OverSocket(path)
    try:
        connection.request("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
