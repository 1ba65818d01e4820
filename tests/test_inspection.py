"""Archives are looked into in a child process that cannot harm us; what it refuses is in `test_archives_*.py`."""

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from archives import core_metadata, sdist, wheel
from corpora_tars import member, pax, raw
from corpora_zips import wheel_parts, write_zip
from inspecting import inspect_bytes as look

from koschey.errors import Refused, StoreUnavailable
from koschey.inspection import inspect
from koschey.inspection.limits import MIB, Limits

NAME, CONTENT = wheel("thing", "1.0", requires_python=">=3.9")
SDIST, SDIST_CONTENT = sdist("thing", "1.0")


def slow_sdist() -> bytes:
    """An sdist that takes seconds to read, and breaks no rule for as long."""
    return gzip.compress(pax(("comment", "slowly"), kind=b"g") * 150_000, 0, mtime=0)


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
    ("filename", "content", "words"),
    [
        (NAME, write_zip(wheel_parts(METADATA=b"nothing")), "Invalid METADATA"),
        (SDIST, raw(member(b"thing-1.0/PKG-INFO", b"nothing"), bytes(1024)), "Invalid PKG-INFO"),
        (NAME, SDIST_CONTENT, "ZIP layout"),
        (SDIST, CONTENT, "Also a ZIP archive"),
        ("thing-1.0.zip", CONTENT, "gzip"),
        ("thing.whl", CONTENT, "Invalid distribution file"),
    ],
)
async def test_fault_is_named(filename: str, content: bytes, words: str) -> None:
    """A refusal says in one printable line what is wrong, and begins with the rule."""
    with pytest.raises(Refused, match=f"^{words}") as refusal:
        await look(filename, content)
    assert str(refusal.value).isprintable()


async def test_hanging_inspection_is_killed_by_the_clock() -> None:
    """What takes too long is refused at the limit, and no child is left."""
    slow, began = slow_sdist(), time.monotonic()
    with pytest.raises(Refused, match=r"within 0\.5 seconds"):
        await look(SDIST, slow, Limits(wall=0.5))
    assert time.monotonic() - began < 2
    children = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, check=True).stdout
    assert b"koschey.inspection.child" not in children


async def test_busy_inspection_is_killed_by_the_kernel() -> None:
    """A child that uses up its processor time ends, and the message says so."""
    with pytest.raises(Refused, match="1 seconds of processor time"):
        await look(SDIST, slow_sdist(), Limits(cpu=1))


async def test_greedy_inspection_is_refused() -> None:
    """An archive that can only be read with more memory than is given is refused."""
    greedy = write_zip(wheel_parts(RECORD=b"".join(b"%d,,\n" % number for number in range(2_000_000))))
    with pytest.raises(Refused, match="200 MiB of memory"):
        await look(NAME, greedy, Limits(memory=200 * MIB))


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


def test_child_uses_no_archive_module_of_the_standard_library() -> None:
    """Faults of `zipfile` and `tarfile`, which not every Python has had repaired, cannot be reached by an archive."""
    script = (
        "import sys, koschey.inspection.child; print(*{'zipfile', 'tarfile', 'gzip', 'bz2', 'lzma'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
