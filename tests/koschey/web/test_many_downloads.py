"""Many downloads of large files at once: each client gets its bytes, and the web process stays small."""

import hashlib
import io
import logging
import shutil
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.koschey_up import Koschey
from tests.support.upstream.server import Upstream, UpstreamFile

log = logging.getLogger(__name__)

MIB = 2**20
SIZE = 200 * MIB
FILES = 8
"""Half of them are stored before, the others are fetched from the upstream while their clients wait."""
EAGER, SLOW = 3, 5
"""Clients of each file: those that read all of it at once, and those that read a megabyte a second."""
CLIENTS = FILES * (EAGER + SLOW)
PIECE = 256 * 2**10
PACE = 0.25
"""Seconds between two pieces that a slow client reads."""
MEMORY = 300 * MIB


class Download:
    """One client: it has read the head of its answer, and the rest when `read` is called."""

    def __init__(self, koschey: Koschey, file: UpstreamFile, *, is_slow: bool) -> None:
        where = urlsplit(koschey.url)
        self.file, self.is_slow, self.received = file, is_slow, 0
        self._socket = socket.socket()
        if is_slow:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._socket.settimeout(50)
        self._socket.connect((where.hostname, where.port))
        self._socket.sendall(f"GET {file.path} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n".encode())
        self._stream = io.BufferedReader(socket.SocketIO(self._socket, "r"), PIECE)
        self.status = int(self._stream.readline().split()[1])
        while self._stream.readline().strip():
            pass
        self._digest = hashlib.sha256()
        self._take()

    def read(self, leaves: threading.Event) -> str | None:
        """Read the rest, and return its digest; a slow client reads until the others have all, and returns None."""
        if not self.is_slow:
            while self._take():
                pass
            return self._digest.hexdigest()
        while not leaves.wait(PACE):
            assert self._take(), "a slow client was broken off"
        return None

    def _take(self) -> int:
        piece = self._stream.read1(PIECE)
        self._digest.update(piece)
        self.received += len(piece)
        return len(piece)

    def close(self) -> None:
        """Go away, whatever is left."""
        self._stream.close()
        self._socket.close()


class Peak:
    """The most memory that any web process had, in bytes."""

    def __init__(self) -> None:
        self.rss = 0


@contextmanager
def watching(koschey: Koschey) -> Iterator[Peak]:
    """Read the memory of the web processes twenty times a second."""
    web = psutil.Process(koschey.ready["pids"]["web"])
    processes, peak, done = [web, *web.children(recursive=True)], Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak.rss = max(peak.rss, *(process.memory_info().rss for process in processes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def download_all(koschey: Koschey, files: list[UpstreamFile]) -> dict[str, list[str | None]]:
    """Have all clients download at once; returns the digests that those of each file received."""
    together, leaves = threading.Barrier(CLIENTS), threading.Event()

    def run(file: UpstreamFile, is_slow: bool) -> str | None:
        download = Download(koschey, file, is_slow=is_slow)
        try:
            assert download.status == 200
            # Nobody reads on before each has the beginning of its file: so many are served at the same time.
            together.wait(40)
            return download.read(leaves)
        finally:
            download.close()

    with ThreadPoolExecutor(CLIENTS) as clients:
        slow = {file.filename: [clients.submit(run, file, True) for _ in range(SLOW)] for file in files}
        eager = {file.filename: [clients.submit(run, file, False) for _ in range(EAGER)] for file in files}
        try:
            digests = {name: [client.result() for client in each] for name, each in eager.items()}
        finally:
            leaves.set()
        assert [client.result() for each in slow.values() for client in each] == [None] * FILES * SLOW
    return digests


@pytest.mark.soak
@pytest.mark.parametrize("cache", ["10240", "0"], ids=["from the disk", "from the bucket"])
def test_many_large_downloads_need_little_memory(folder: Path, upstream: Upstream, cache: str) -> None:
    """64 downloads of 200 MiB at once, stored or not, read fast or slowly, need 300 MiB of a web process at most."""
    files = [upstream.add_large(f"many-{cache}-{number}", "1.0", size=SIZE) for number in range(FILES)]
    try:
        with Koschey(folder / f"many-{cache}", upstream.url, variables={"KOSCHEY_CACHE_MIB": cache}) as koschey:
            for file in files:
                koschey.page(file.project)
            for file in files[: FILES // 2]:
                first = Download(koschey, file, is_slow=False)
                assert first.read(threading.Event()) == file.sha256
                first.close()
            assert [koschey.is_stored(file.filename) for file in files] == [True] * (FILES // 2) + [False] * (
                FILES // 2
            )
            with watching(koschey) as peak:
                digests = download_all(koschey, files)
            assert digests == {file.filename: [file.sha256] * EAGER for file in files}
            assert all(koschey.is_stored(file.filename) for file in files)
            log.info("a web process had %d MiB at most", peak.rss // MIB)
            assert 0 < peak.rss <= MEMORY
    finally:
        shutil.rmtree(folder / f"many-{cache}", ignore_errors=True)
