"""Core metadata for everything: relayed and checked where the upstream has it, read out of the wheel where not."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from http.client import IncompleteRead
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.db.pool import Pool
from koschey.errors import Refused, UpstreamUnavailable
from koschey.inspection.archives.limits import MAX_METADATA
from koschey.inspection.dists import partial_wheels
from koschey.inspection.dists.partial_wheels import TAIL, read_wheel_metadata
from koschey.mirror import metadata_extraction
from koschey.mirror.metadata_extraction import Extractor
from koschey.mirror.wheel_reader import WheelReader
from koschey.model import File, State
from koschey.storage.s3 import Bucket
from tests.support import archives
from tests.support.commands import pip
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.rows import add_project, new_file
from tests.support.upstream.server import Upstream

NAME, CONTENT = archives.wheel("thing", "1.0", requires=["other>=1"], padding=300_000)
METADATA = archives.core_metadata("thing", "1.0", ["other>=1"])


class Source:
    """Bytes that are read in pieces, and how much of them was."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.read: list[tuple[int, int]] = []

    async def __call__(self, start: int, stop: int) -> bytes:
        self.read.append((start, stop))
        return self.content[start:stop]

    async def metadata(self, filename: str = NAME) -> bytes:
        return await read_wheel_metadata(filename, len(self.content), self)


async def test_one_small_read_is_enough() -> None:
    """METADATA of a wheel as build tools write it is found in the last bytes, without the rest."""
    source = Source(CONTENT)
    assert await source.metadata() == METADATA
    assert source.read == [(len(CONTENT) - TAIL, len(CONTENT))]


async def test_metadata_at_the_beginning() -> None:
    """Where METADATA stands far from the directory, a second small read brings it."""
    source = Source(zipped({"thing-1.0.dist-info/METADATA": METADATA, "thing.bin": archives.noise("n", 500_000)}))
    assert await source.metadata() == METADATA
    assert len(source.read) == 2
    assert sum(stop - start for start, stop in source.read) < 2 * TAIL


async def test_large_directory() -> None:
    """A directory larger than the first read is fetched whole."""
    members = {f"thing/{number:05}-{'x' * 60}.py": b"" for number in range(2000)}
    source = Source(zipped({"thing-1.0.dist-info/METADATA": METADATA, **members}))
    assert await source.metadata() == METADATA


@given(st.binary(max_size=3000), st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
async def test_pieces_give_what_the_whole_gives(description: bytes, method: int) -> None:
    """Whatever METADATA holds, in pieces it is read byte for byte."""
    body = METADATA + b"\n" + description
    assert await Source(zipped({"thing-1.0.dist-info/METADATA": body}, method)).metadata() == body


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"thing.py": b""}, "has no METADATA"),
        ({"a/thing-1.0.dist-info/METADATA": METADATA}, "has no METADATA"),
        ({"thing-2.0.dist-info/METADATA": METADATA}, "has no METADATA"),
        ({"other-1.0.dist-info/METADATA": METADATA}, "has no METADATA"),
        ({"thing-1.0.dist-info/METADATA": METADATA, "Thing-1.dist-info/METADATA": METADATA}, "has 2 METADATA"),
        ({"thing-1.0.dist-info/METADATA": b" " * (MAX_METADATA + 1)}, "is larger than"),
    ],
)
async def test_wheel_without_its_metadata(members: dict[str, bytes], message: str) -> None:
    """A wheel that has not exactly one METADATA of its own release, of a sane size, gives none."""
    with pytest.raises(Refused, match=message):
        await Source(zipped(members)).metadata()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
async def test_only_deflate(method: int) -> None:
    """What installers cannot undo, and what inflates without a bound, is not undone here."""
    with pytest.raises(Refused, match="deflate"):
        await Source(zipped({"thing-1.0.dist-info/METADATA": METADATA}, method)).metadata()


@pytest.mark.parametrize("content", [b"", b"PK", CONTENT[:-30], b"\0" * 100_000, CONTENT[: len(CONTENT) // 2]])
async def test_no_wheel(content: bytes) -> None:
    """Bytes that are no wheel are refused, and are not read again and again."""
    source = Source(content)
    with pytest.raises(Refused):
        await source.metadata()
    assert len(source.read) <= partial_wheels.READS


@given(st.integers(0, len(CONTENT) - 1), st.binary(min_size=1, max_size=40))
async def test_damaged_wheel_is_refused_or_read(position: int, damage: bytes) -> None:
    """Any damage is refused, or leaves METADATA as it was; nothing else comes out, and nothing hangs."""
    position = len(CONTENT) - 1 - position % 2000
    source = Source(CONTENT[:position] + damage + CONTENT[position + len(damage) :])
    try:
        assert isinstance(await source.metadata(), bytes)
    except Refused:
        assert len(source.read) <= partial_wheels.READS


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@dataclass
class Reader:
    """Reads wheels without an upstream; each takes a while on a clock of its own."""

    seconds: float
    ends_at: int | None = None
    """The number of wheels after which the upstream does not answer any more."""
    count: int = 0

    async def read(self, wheel: File) -> bytes:
        """Return the METADATA of a wheel."""
        if self.count == self.ends_at:
            raise UpstreamUnavailable("not now")
        self.count += 1
        return wheel.filename.encode()

    def monotonic(self) -> float:
        """The time: as much as the wheels that were read took."""
        return self.count * self.seconds


class Store:
    """A bucket that keeps nothing."""

    async def put(self, key: str, body: bytes) -> None:
        """Store an object."""


async def extract(pool: Pool, reader: Reader, wheels: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Extract from so many wheels; returns how many wheels each change of the page described."""
    async with pool.acquire() as connection:
        new = [new_file(f"mfew-1.{number}-py3-none-any.whl", State.RELEASED) for number in range(wheels)]
        await add_project(connection, "mfew", new)
    monkeypatch.setattr(metadata_extraction, "time", reader)
    extractor = Extractor(pool, cast(Bucket, Store()), cast(WheelReader, reader))
    try:
        assert await extractor.describe(NormalizedName("mfew")) is False
    except UpstreamUnavailable:
        assert reader.ends_at is not None
    rows = await pool.fetch("SELECT count(*) AS files FROM journal GROUP BY xmin ORDER BY min(serial)")
    return [row["files"] for row in rows]


async def test_many_wheels_change_the_page_a_few_times(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first wheels are listed soon, and then twice as many each time: no page is made again for each step."""
    assert await extract(pool, Reader(0.25), 1000, monkeypatch) == [20, 40, 80, 160, 320, 380]


async def test_wheels_that_are_read_at_once_change_the_page_once(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose wheels are all read within seconds has one change."""
    assert await extract(pool, Reader(0.01), 300, monkeypatch) == [300]


async def test_what_was_read_is_kept(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the upstream stops answering, everything that it sent before is listed, and nothing more is requested."""
    reader = Reader(0.01, ends_at=130)
    assert await extract(pool, reader, 300, monkeypatch) == [130]
    assert reader.count == 130


def advertised(koschey: Koschey, project: str, filename: str) -> str | None:
    """The sha256 of core metadata that the page gives for a file."""
    listed = {file["filename"]: file for file in koschey.page(project)["files"]}
    digest: str | None = listed[filename].get("core-metadata", {}).get("sha256")
    return digest


def get_short(url: str) -> int:
    """How many bytes of a file arrive before it is refused or breaks off."""
    try:
        answer = ask(url)
    except (IncompleteRead, ConnectionError) as error:
        return len(error.partial) if isinstance(error, IncompleteRead) else 0
    assert answer.status == 424
    return 0


def test_wheels_of_an_upstream_without_metadata(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """METADATA is read by range requests, served beside the wheel, and pip resolves with it; the wheel stays there."""
    files = [upstream.add("x-bare", f"{number}.0", core_metadata=False, size=200_000) for number in range(1, 4)]
    koschey.page("x-bare")
    for file in files:
        digest = wait_until(lambda name=file.filename: advertised(koschey, "x-bare", name))  # type: ignore[misc]
        answer = ask(f"{koschey.url}{file.path}.metadata")
        assert answer.status == 200
        assert answer.body == archives.read_core_metadata(file.content)
        assert hashlib.sha256(answer.body).hexdigest() == digest
        assert not koschey.is_stored(file.filename)
        assert {request.status for request in upstream.requests if request.path == file.path} == {206}
    pip("install", "--target", str(tmp_path), "--index-url", koschey.index_url, "x-bare")
    assert (tmp_path / "x_bare-3.0.dist-info").is_dir()


def test_upstream_without_ranges(koschey: Koschey, upstream: Upstream) -> None:
    """Where the upstream serves no ranges, METADATA is read once the wheel is here; until then it says why."""
    file = upstream.add("x-whole", "1.0", core_metadata=False)
    upstream.fault(file.filename, status=200, body=file.content, times=1)
    koschey.page("x-whole")
    query = "SELECT metadata_error FROM file WHERE filename = $1"
    wait_until(lambda: "ranges" in (koschey.fetch_value(query, file.filename) or ""))
    assert advertised(koschey, "x-whole", file.filename) is None
    assert ask(koschey.url + file.path).status == 200
    digest = wait_until(lambda: advertised(koschey, "x-whole", file.filename))
    assert digest == hashlib.sha256(archives.read_core_metadata(file.content) or b"").hexdigest()
    assert koschey.fetch_value(query, file.filename) is None


def test_promised_metadata_is_compared_with_the_wheel(koschey: Koschey, upstream: Upstream) -> None:
    """Core metadata that is not the wheel's own blocks the file, and nobody gets it whole; the bytes are kept."""
    honest = upstream.add("x-liar", "1.0")
    liar = upstream.add("x-liar", "2.0")
    upstream.promise(liar.filename, archives.core_metadata("x-liar", "2.0", ["innocent"]))
    assert set(koschey.filenames("x-liar")) == {honest.filename, liar.filename}
    assert ask(f"{koschey.url}{liar.path}.metadata").body.endswith(b"Requires-Dist: innocent\n\n")
    assert get_short(koschey.url + liar.path) < liar.size
    wait_until(lambda: koschey.filenames("x-liar") == [honest.filename])
    answer = ask(koschey.url + liar.path)
    assert answer.status == 403
    assert "but its page promised core metadata with sha256" in answer.json["detail"]
    assert koschey.is_stored(liar.filename)
    assert ask(koschey.url + honest.path).status == 200


def test_promised_metadata_that_cannot_be_compared(koschey: Koschey, upstream: Upstream) -> None:
    """A wheel with two METADATA, of which readers take different ones, does not go past the comparison."""
    members = {"thing.py": b"", "x_two-1.0.dist-info/METADATA": archives.core_metadata("x-two", "1.0", ["innocent"])}
    content = zipped({**members, "X_Two-1.0.dist-info/METADATA": archives.core_metadata("x-two", "1.0", ["guilty"])})
    file = upstream.add("x-two", "1.0", content=content, filename="x_two-1.0-py3-none-any.whl")
    assert file.metadata is not None
    assert koschey.filenames("x-two") == [file.filename]
    assert get_short(koschey.url + file.path) < file.size
    wait_until(lambda: koschey.filenames("x-two") == [])
    assert "cannot be read" in ask(koschey.url + file.path).json["detail"]
