"""Archives are looked into in a child process that cannot harm us; what it refuses is in `test_archives_*.py`."""

import asyncio
import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from koschey.errors import Refused, StoreUnavailable
from koschey.inspection.archives.limits import MIB, Limits
from koschey.inspection.sandbox import launcher
from koschey.inspection.sandbox.inspector import Inspector
from tests.support.archives import core_metadata, sdist, wheel
from tests.support.corpora_tars import member, pax, raw
from tests.support.corpora_zips import wheel_parts, write_zip
from tests.support.inspection import inspect_bytes as look
from tests.support.inspection import working
from tests.support.waiting import eventually

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
        ("thing-1.0.zip", CONTENT, "One top folder"),
        ("thing-1.0.egg", CONTENT, "sdist"),
        ("thing.whl", CONTENT, "Invalid distribution file"),
    ],
)
async def test_fault_is_named(filename: str, content: bytes, words: str) -> None:
    """A refusal says in one printable line what is wrong, and begins with the rule."""
    with pytest.raises(Refused, match=f"^{words}") as refusal:
        await look(filename, content)
    assert str(refusal.value).isprintable()


@pytest.fixture
def begun() -> Callable[[], list[psutil.Process]]:
    """What lists the processes below this one that were started since: one that forks, and its children."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: [each for each in psutil.Process().children(recursive=True) if each not in before]


async def test_hanging_inspection_is_killed_by_the_clock(begun: Callable[[], list[psutil.Process]]) -> None:
    """What takes too long is refused at the limit, and no child is left; the next one is served."""
    with tempfile.TemporaryFile() as slow, tempfile.TemporaryFile() as quick:
        slow.write(slow_sdist())
        slow.flush()
        quick.write(CONTENT)
        quick.flush()
        inspector, began = Inspector(Limits(wall=0.5)), time.monotonic()
        with pytest.raises(Refused, match=r"within 0\.5 seconds"):
            await inspector.inspect(slow.fileno(), SDIST)
        assert time.monotonic() - began < 2
        inspector._limits = Limits()  # half a second is too little for an answer on a busy machine
        assert (await inspector.inspect(quick.fileno(), NAME)).project == "thing"
        await eventually(lambda: len(begun()) == 1)


async def test_client_that_goes_away_ends_the_child(begun: Callable[[], list[psutil.Process]]) -> None:
    """Nobody waits for what nobody wants any more."""
    with tempfile.TemporaryFile() as slow:
        slow.write(slow_sdist())
        slow.flush()
        inspector = Inspector()
        looking = asyncio.create_task(inspector.inspect(slow.fileno(), SDIST))
        await eventually(lambda: len(begun()) == 2)
        looking.cancel()
        await eventually(lambda: len(begun()) == 1)
        assert await asyncio.wait([looking])


async def test_process_that_forks_may_die(begun: Callable[[], list[psutil.Process]]) -> None:
    """A child that it forked finishes, and what it refuses is refused; another process takes its place."""
    with tempfile.TemporaryFile() as slow, tempfile.TemporaryFile() as quick:
        slow.write(slow_sdist())
        slow.flush()
        quick.write(CONTENT)
        quick.flush()
        inspector = Inspector()
        looking = asyncio.create_task(inspector.inspect(slow.fileno(), SDIST))
        await eventually(lambda: len(begun()) == 2)
        forker = begun()[0]
        forker.kill()
        await eventually(lambda: forker.status() == psutil.STATUS_ZOMBIE)
        assert (await inspector.inspect(quick.fileno(), NAME)).project == "thing"
        with pytest.raises(Refused, match="TAR end"):
            await looking


SLUGGISH = """
import selectors, time

class Sluggish(selectors.DefaultSelector):
    def select(self, timeout=None):
        super().select(timeout)
        time.sleep(0.3)
        return sorted(super().select(0), key=lambda chosen: chosen[0].fd)

forkserver.selectors.DefaultSelector = Sluggish
def work(): pass
"""
"""A process that hears of what happens together in one go: of children that ended first."""


async def test_child_that_ends_as_nobody_wants_it_any_more(
    monkeypatch: pytest.MonkeyPatch, begun: Callable[[], list[psutil.Process]]
) -> None:
    """The process that forks lives on where a child ends and its client goes away in the same moment."""
    monkeypatch.setattr(launcher, "BOOT", working(SLUGGISH))
    with tempfile.TemporaryFile() as file:
        inspector = Inspector()
        looking = asyncio.create_task(inspector.inspect(file.fileno(), NAME))
        await eventually(lambda: len(begun()) == 2)
        looking.cancel()
        await eventually(lambda: len(begun()) == 1)
        (forker,) = begun()
        with pytest.raises(StoreUnavailable, match="ended with 0"):
            await inspector.inspect(file.fileno(), NAME)
        assert begun() == [forker]


async def test_children_end_with_the_process_that_asked(tmp_path: Path) -> None:
    """Where we are killed, no child goes on, and nothing that forks them."""
    (tmp_path / SDIST).write_bytes(slow_sdist())
    script = (
        "import asyncio, os, sys\nfrom koschey.inspection.sandbox.inspector import Inspector\n"
        "asyncio.run(Inspector().inspect(os.open(sys.argv[1], 0), os.path.basename(sys.argv[1])))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / SDIST)])
    asked = psutil.Process(process.pid)
    await eventually(lambda: len(asked.children(recursive=True)) == 2)
    below = asked.children(recursive=True)
    process.kill()
    process.wait()
    await eventually(lambda: not [each for each in below if each.is_running()])


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
    for boots in ("raise SystemExit(3)", working("def work(): raise SystemExit(3)"), working("def work(): 1 / 0")):
        monkeypatch.setattr(launcher, "BOOT", boots)
        with pytest.raises(StoreUnavailable, match="its child ended"):
            await look(NAME, CONTENT)


async def test_child_has_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The child's environment has nothing of ours, and no file or socket of ours is open in it."""
    monkeypatch.setenv("KOSCHEY_DATABASE_URL", "postgresql://secret")
    told = tmp_path / "told"
    secret = (tmp_path / "secret").open("w")
    lines = f"""
import os
def work():
    with open("/proc/self/environ") as environ, open({str(told)!r}, "w") as told:
        print(dict(os.environ), repr(environ.read()), sorted(os.listdir("/proc/self/fd"), key=int), file=told)
"""
    monkeypatch.setattr(launcher, "BOOT", working(lines))
    with secret, pytest.raises(StoreUnavailable, match="ended with 0"):
        await look(NAME, CONTENT)
    words = told.read_text()
    # Python itself sets LC_CTYPE. Beside the standard ones, there are the two files and the folder of the lines above.
    assert words == "{'LC_CTYPE': 'C.UTF-8'} '' ['0', '1', '2', '3', '4', '5']\n"


def test_child_runs_from_any_folder(tmp_path: Path) -> None:
    """The child is found wherever Koschey is installed, and whatever folder or Python path we were started with."""
    (tmp_path / "koschey.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / NAME).write_bytes(CONTENT)
    script = (
        "import asyncio, os, sys; sys.path.append(sys.argv[1]); sys.path.remove('')\n"
        "from koschey.inspection.sandbox.inspector import Inspector\n"
        "print(asyncio.run(Inspector().inspect(os.open(sys.argv[2], 0), sys.argv[2])).version)"
    )
    root = Path(launcher.__file__).parents[3]
    command = [sys.executable, "-c", script, str(root), NAME]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "1.0\n", done.stderr


def test_child_uses_no_archive_module_of_the_standard_library() -> None:
    """Faults of `zipfile` and `tarfile`, which not every Python has had repaired, cannot be reached by an archive."""
    script = (
        "import sys, koschey.inspection.sandbox.job\n"
        "print(*{'zipfile', 'tarfile', 'gzip', 'bz2', 'lzma'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
