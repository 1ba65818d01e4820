"""Large uploads, and many at once: served as they were sent, and no web process grows by more than a few parts."""

import base64
import concurrent.futures
import hashlib
import io
import threading
import zipfile
from collections.abc import Buffer, Callable, Iterator
from http.client import HTTPConnection
from typing import Self
from urllib.parse import urlsplit

import psutil
import pytest

from koschey.model import Sha256
from koschey.storage.s3 import blob_key
from tests.support import archives
from tests.support.koschey_up import Answer, Koschey
from tests.support.uploads import encoded, form, post

MIB = 2**20
PIECE = bytes(MIB)
PIECES = 1024
"""Of each of the two large members."""
GROWTH = 100 * MIB


class Pieces(io.RawIOBase):
    """A file that is kept as what was written to it, so that two gigabytes of one piece cost one piece."""

    def __init__(self) -> None:
        self._pieces: dict[int, bytes] = {}
        self._at = 0

    def seekable(self) -> bool:
        """zipfile goes back to complete its headers."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place that was written before."""
        assert whence == 0
        self._at = offset
        return offset

    def tell(self) -> int:
        """Where the next piece goes."""
        return self._at

    def write(self, data: Buffer, /) -> int:
        """Keep a piece, in the place of the one that began there."""
        piece = data if isinstance(data, bytes) else bytes(data)
        self._pieces[self._at] = piece
        self._at += len(piece)
        return len(piece)

    def __iter__(self) -> Iterator[bytes]:
        """All pieces from the beginning."""
        return (self._pieces[at] for at in sorted(self._pieces))


def large_wheel(name: str, pieces: int = PIECES) -> tuple[str, Pieces]:
    """A wheel of two members of so many pieces, as Python's own zipfile writes it."""
    stem, record, wheel = f"{name}-1.0", f"{name}-1.0.dist-info/RECORD", Pieces()
    digest = hashlib.sha256()
    for _ in range(pieces):
        digest.update(PIECE)
    hashed = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    members = {
        f"{stem}.dist-info/METADATA": archives.core_metadata(name, "1.0"),
        f"{stem}.dist-info/WHEEL": archives.WHEEL.encode(),
    }
    large = [f"{name}_{number}.bin" for number in (1, 2)]
    lines = "".join(f"{path},sha256={hashed},{pieces * MIB}\n" for path in large)
    members[record] = lines.encode() + archives._record(members, record)
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in members.items():
            archive.writestr(path, content)
        for path in large:
            info = zipfile.ZipInfo(path)
            info.file_size = pieces * MIB
            with archive.open(info, "w") as member:
                for _ in range(pieces):
                    member.write(PIECE)
    return f"{stem}-py3-none-any.whl", wheel


class Watch:
    """By how much processes grow, at most, while it is entered."""

    def __init__(self, koschey: Koschey) -> None:
        web = psutil.Process(koschey.ready["pids"]["web"])
        self._processes = [web, *web.children(recursive=True)]
        self._before = self._sizes()
        self.growth = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.05):
            grown = [now - before for now, before in zip(self._sizes(), self._before, strict=True)]
            self.growth = max(self.growth, *grown)

    def _sizes(self) -> list[int]:
        return [process.memory_info().rss for process in self._processes]


def read_all(url: str, take: Callable[[bytes], object]) -> None:
    """Download, and keep nothing."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=120)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        assert response.status == 200
        while chunk := response.read(MIB):
            take(chunk)
    finally:
        connection.close()


def digest_of(wheel: Pieces) -> Sha256:
    """The sha256 of a wheel."""
    digest = hashlib.sha256()
    for piece in wheel:
        digest.update(piece)
    return Sha256(digest.hexdigest())


def send(koschey: Koschey, filename: str, wheel: Pieces) -> Answer:
    """Upload a wheel, piece by piece."""
    fields = form(filename, b"", {"sha256_digest": digest_of(wheel)})
    before, after = encoded(fields, filename, b"<file>").split(b"<file>")
    body = (piece for part in ([before], wheel, [after]) for piece in part)
    return post(koschey, body, chunked=True, Transfer_Encoding="chunked")


@pytest.mark.soak
def test_l6_many_uploads_at_once_need_little_memory(koschey: Koschey) -> None:
    """L6: More large uploads than a process has connections are accepted, and it holds few parts of them at a time."""
    wheels = [large_wheel(f"many_uploads_{number}", 16) for number in range(24)]
    with Watch(koschey) as watch, concurrent.futures.ThreadPoolExecutor(len(wheels)) as clients:
        answers = list(clients.map(lambda wheel: send(koschey, *wheel), wheels))
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"OK")] * len(wheels)
    assert koschey.fetch_value("SELECT count(*) FROM file WHERE filename LIKE 'many_uploads_%'") == len(wheels)
    assert koschey.fetch_value("SELECT count(*) FROM pending_upload") == 0
    assert 0 < watch.growth < GROWTH
    for _, wheel in wheels:
        (koschey.data / "s3" / "koschey" / blob_key(digest_of(wheel))).unlink()


@pytest.mark.soak
def test_two_gigabytes_need_little_memory(koschey: Koschey) -> None:
    """Neither taking in nor giving out a file of two gigabytes makes a web process grow by a hundred megabytes."""
    filename, wheel = large_wheel("large_upload")
    sha256 = digest_of(wheel)
    with Watch(koschey) as watch:
        answer = send(koschey, filename, wheel)
        assert (answer.status, answer.body) == (200, b"OK")
        served = hashlib.sha256()
        read_all(koschey.url + koschey.path_of(filename), served.update)
    assert served.hexdigest() == sha256
    assert 0 < watch.growth < GROWTH
    (koschey.data / "s3" / "koschey" / blob_key(sha256)).unlink()
