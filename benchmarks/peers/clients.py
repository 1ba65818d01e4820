"""Finds out what pip and uv send when they request a page: each is run once against a socket that reads its request."""

import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress

from benchmarks.peers.environments import uv
from benchmarks.peers.http1 import SEPARATOR, Head
from benchmarks.peers.processes import bare_environment

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
PATIENCE = 60


def negotiations() -> dict[str, Mapping[str, str]]:
    """Return `Accept` and `Accept-Encoding` of each client; clients that send the same share one entry."""
    commands = {
        "pip": (sys.executable, "-m", "pip", "--isolated", "download", "--no-cache-dir", "--retries", "0"),
        "uv": (uv(), "pip", "install", "--no-config", "--no-cache", "--python", sys.executable, "--dry-run"),
    }
    found: dict[str, Mapping[str, str]] = {}
    for name, command in commands.items():
        headers = _listen(command)
        same = next((other for other, theirs in found.items() if theirs == headers), None)
        if same:
            found[f"{same} and {name}"] = found.pop(same)
        else:
            found[name] = headers
    return found


def _listen(command: tuple[str, ...]) -> Mapping[str, str]:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        answerer = threading.Thread(target=_answer, args=(listener, received), daemon=True)
        answerer.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/simple/"
        arguments = [*command, "--index-url", url, "page"]
        subprocess.run(arguments, env=bare_environment(), capture_output=True, timeout=PATIENCE, check=False)
        answerer.join(PATIENCE)
    headers = Head.parse(b"HTTP/1.1 200 \r\n" + received[0].partition(b"\r\n")[2]).headers
    return {name: headers[name.lower()] for name in ("Accept", "Accept-Encoding")}


def _answer(listener: socket.socket, received: list[bytes]) -> None:
    with suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            request = b""
            while SEPARATOR not in request and (more := connection.recv(2**16)):
                request += more
            received.append(request.partition(SEPARATOR)[0])
            connection.sendall(NOT_FOUND)
