"""Archives are judged in a child process that cannot harm us, by rules that say what is wrong."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import pytest
from archives import core_metadata, sdist, wheel

from koschey.errors import Refused, StoreUnavailable
from koschey.inspection import inspect
from koschey.inspection.inspect import Inspected, Inspector
from koschey.inspection.limits import MIB, Limits

NAME, CONTENT = wheel("thing", "1.0", requires_python=">=3.9")
SDIST, SDIST_CONTENT = sdist("thing", "1.0")
INFO = "thing-1.0.dist-info"
COMPLETE = {f"{INFO}/METADATA": core_metadata("thing", "1.0"), f"{INFO}/WHEEL": b"", f"{INFO}/RECORD": b""}


async def look(filename: str, content: bytes, limits: Limits | None = None) -> Inspected:
    """Inspect bytes as an upload would be."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return await Inspector(limits).inspect(file.fileno(), filename)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for path, body in members.items():
            archive.writestr(path, body)
    return buffer.getvalue()


def tarred(*members: tuple[str, bytes], level: int = 6, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A gzipped tar of these members, in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, body in members:
            info = tarfile.TarInfo(path)
            info.size, info.type = len(body), kind
            info.linkname = "x" if kind == tarfile.SYMTYPE else ""
            archive.addfile(info, io.BytesIO(body))
    return gzip.compress(buffer.getvalue(), level, mtime=0)


def slow_sdist() -> bytes:
    """An sdist that takes seconds to read, and breaks no rule."""
    header = tarfile.TarInfo("thing-1.0/x").tobuf()
    return gzip.compress(header * 250_000, 0, mtime=0)


async def test_wheel_is_read() -> None:
    """A wheel gives its name, its version, its Python and the very bytes of METADATA."""
    found = await look(NAME, CONTENT)
    assert (found.project, str(found.version), found.requires_python) == ("thing", "1.0", ">=3.9")
    assert found.metadata == core_metadata("thing", "1.0", (), ">=3.9")


async def test_sdist_is_read() -> None:
    """An sdist gives its name, its version and the very bytes of PKG-INFO."""
    found = await look(SDIST, SDIST_CONTENT)
    assert (found.project, str(found.version), found.metadata) == ("thing", "1.0", core_metadata("thing", "1.0"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "broken"),
        (b"no zip at all", "broken"),
        (CONTENT[:-30], "broken"),
        (CONTENT.replace(b"Metadata-Version", b"Metadota-Version"), "broken"),
        (SDIST_CONTENT, "broken"),
        (zipped({}), "exactly one folder"),
        (zipped({"thing.py": b""}), "exactly one folder"),
        (zipped(COMPLETE | {"other-2.0.dist-info/METADATA": b""}), "exactly one folder"),
        (
            zipped({key: body for key, body in COMPLETE.items() if "METADATA" not in key}),
            "no 'thing-1.0.dist-info/METADATA",
        ),
        (zipped({key: body for key, body in COMPLETE.items() if "WHEEL" not in key}), "no 'thing-1.0.dist-info/WHEEL"),
        (
            zipped({key: body for key, body in COMPLETE.items() if "RECORD" not in key}),
            "no 'thing-1.0.dist-info/RECORD",
        ),
        (zipped({key.replace("thing", "other"): body for key, body in COMPLETE.items()}), "another release"),
        (zipped({key.replace("1.0", "2.0"): body for key, body in COMPLETE.items()}), "another release"),
        (zipped({key.replace("1.0", "\u202e"): body for key, body in COMPLETE.items()}), "another release"),
        (zipped(COMPLETE, zipfile.ZIP_LZMA), "deflate"),
        (zipped(COMPLETE | {"zeros": bytes(100 * MIB)}), "bomb"),
        (zipped(COMPLETE | {f"{INFO}/METADATA": core_metadata("thing", "1.0") + b"x" * 11 * MIB}), "larger"),
        (zipped(COMPLETE | {f"{INFO}/METADATA": b"nothing"}), "Invalid METADATA"),
    ],
)
async def test_bad_wheel_is_refused(content: bytes, words: str) -> None:
    """Each fault of a wheel is named, in one printable line."""
    with pytest.raises(Refused, match=words) as refusal:
        await look(NAME, content)
    assert str(refusal.value).isprintable()


@pytest.mark.filterwarnings("ignore:Duplicate name")
async def test_wheel_with_two_metadata_is_refused() -> None:
    """Which of two members of one name counts is a question that no two tools answer alike."""
    buffer = io.BytesIO(zipped(COMPLETE))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(f"{INFO}/METADATA", b"another")
    with pytest.raises(Refused, match="exactly one"):
        await look(NAME, buffer.getvalue())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "broken"),
        (b"no tar at all", "broken"),
        (CONTENT, "broken"),
        (gzip.compress(b"no tar at all", mtime=0), "broken"),
        (SDIST_CONTENT[:-100], "broken"),
        (SDIST_CONTENT[:-6] + b"\0" + SDIST_CONTENT[-5:], "broken"),
        (gzip.compress(bytes(1024), mtime=0), "no 'thing-1.0/PKG-INFO'"),
        (tarred(("thing-1.0/setup.py", b"")), "no 'thing-1.0/PKG-INFO'"),
        (tarred(("thing-1.0/src/PKG-INFO", b"x")), "no 'thing-1.0/PKG-INFO'"),
        (tarred(("thing-1.0/PKG-INFO", b"nothing")), "Invalid PKG-INFO"),
        (tarred(("thing-1.0/PKG-INFO", b""), kind=tarfile.SYMTYPE), "no plain file"),
        (tarred(("thing-1.0/PKG-INFO", core_metadata("thing", "1.0")), ("thing-1.0/PKG-INFO", b"")), "twice"),
        (tarred(("thing-1.0/PKG-INFO", core_metadata("thing", "1.0")), ("other/x", b"")), "one folder at its top"),
        (tarred(("thing-1.0/PKG-INFO", core_metadata("thing", "1.0")), ("thing-1.0/../../x", b"")), "leads out"),
        (tarred(("/etc/passwd", b"")), "leads out"),
    ],
)
async def test_bad_sdist_is_refused(content: bytes, words: str) -> None:
    """Each fault of an sdist is named, in one printable line."""
    with pytest.raises(Refused, match=words) as refusal:
        await look(SDIST, content)
    assert str(refusal.value).isprintable()


async def test_tar_bomb_is_refused_early() -> None:
    """A gibibyte of zeros in a megabyte ends after 64 MiB, long before it is inflated."""
    bomb = tarred(("thing-1.0/zeros", bytes(1024 * MIB)), level=1)
    began = time.monotonic()
    with pytest.raises(Refused, match="bomb"):
        await look(SDIST, bomb)
    assert time.monotonic() - began < 5


async def test_hanging_inspection_is_killed_by_the_clock() -> None:
    """What takes too long is refused at the limit, and no child is left."""
    began = time.monotonic()
    with pytest.raises(Refused, match=r"within 0\.5 seconds"):
        await look(SDIST, slow_sdist(), Limits(wall=0.5))
    assert time.monotonic() - began < 2
    children = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, check=True).stdout
    assert b"koschey.inspection.child" not in children


async def test_busy_inspection_is_killed_by_the_kernel() -> None:
    """A child that uses up its processor time ends, and the message says so."""
    with pytest.raises(Refused, match="1 seconds of processor time"):
        await look(SDIST, slow_sdist(), Limits(cpu=1))


async def test_greedy_inspection_is_refused() -> None:
    """An archive that can only be read with more memory than is given is refused."""
    greedy = tarred(("thing-1.0/PKG-INFO", b"x"), level=0)
    header = tarfile.TarInfo("thing-1.0/pax")
    header.type, header.size = tarfile.XHDTYPE, 300 * MIB
    greedy = gzip.compress(header.tobuf() + os.urandom(MIB) * 300, 0)
    with pytest.raises(Refused, match="200 MiB of memory"):
        await look(SDIST, greedy, Limits(memory=200 * MIB))


async def test_broken_child_is_not_blamed_on_the_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the child itself cannot run, the client is told to come back, and not that its file is bad."""
    monkeypatch.setattr(inspect, "BOOT", "raise SystemExit(3)")
    with pytest.raises(StoreUnavailable):
        await look(NAME, CONTENT)


async def test_child_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's environment has nothing of ours."""
    monkeypatch.setenv("KOSCHEY_DATABASE_URL", "postgresql://secret")
    monkeypatch.setattr(inspect, "BOOT", "import os, sys; sys.exit(any('KOSCHEY' in key for key in os.environ) and 3)")
    with pytest.raises(StoreUnavailable, match="ended with 0"):
        await look(NAME, CONTENT)


def test_child_runs_from_any_folder(tmp_path: Path) -> None:
    """The child is found wherever Koschey is installed, and whatever folder or Python path we were started with."""
    (tmp_path / "koschey.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / NAME).write_bytes(CONTENT)
    script = (
        "import asyncio, os, sys; sys.path.append(sys.argv[1]); sys.path.remove('')\n"
        "from koschey.inspection.inspect import Inspector\n"
        "print(asyncio.run(Inspector().inspect(os.open(sys.argv[2], 0), sys.argv[2])).version)"
    )
    root = Path(str(inspect.__file__)).parents[2]
    command = [sys.executable, "-c", script, str(root), NAME]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "1.0\n", done.stderr
