"""Whatever Koschey takes, the standard library, pip and uv read alike; what it refuses, some of them read otherwise."""

import gzip
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import corpora_wheels, corpora_zips
from tests.support.corpora_tars import REJECTED as TARS
from tests.support.corpora_zips import FILENAME, INFO, A, B, whole
from tests.support.inspection import by_zipfile, read_zip

ZIPS = {**corpora_zips.ACCEPTED, **corpora_wheels.ACCEPTED}
BY_INSTALLER = {f"{INFO}/{name}" for name in ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")}
PIP = (sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile", "--quiet", "--target")
UV = (
    shutil.which("uv") or "uv",
    "pip",
    "install",
    "--offline",
    "--no-index",
    "--no-deps",
    "--no-cache",
    "-q",
    "--target",
)
INSTALLED = (
    "plain",
    "stored",
    "folders",
    "name beyond ASCII",
    "zip64 end",
    "zip64 sizes",
    "zip in a zip",
    "sha512",
    "scripts",
)


def by_installer(command: tuple[str, ...], content: bytes, folder: Path) -> dict[str, bytes]:
    """What an installer puts into a folder, without what it adds and what scripts it writes."""
    wheel = folder / FILENAME
    wheel.write_bytes(content)
    subprocess.run([*command, folder / "target", wheel], check=True, capture_output=True, timeout=120)
    files = {path.relative_to(folder / "target"): path for path in (folder / "target").rglob("*") if path.is_file()}
    found = {str(name): path.read_bytes() for name, path in files.items() if name.parts[0] != "bin"}
    return {name: body for name, body in found.items() if name not in BY_INSTALLER and name != ".lock"}


@pytest.mark.parametrize("case", ZIPS)
def test_accepted_wheel_is_read_as_zipfile_reads_it(case: str) -> None:
    """Names and content are the same from the start of the file as from its end."""
    content = ZIPS[case]()
    assert read_zip(content) == by_zipfile(content)


@pytest.mark.parametrize("command", [PIP, UV], ids=["pip", "uv"])
@pytest.mark.parametrize("case", INSTALLED)
def test_accepted_wheel_is_installed_as_it_is_read(case: str, command: tuple[str, ...], tmp_path: Path) -> None:
    """Installers put exactly the files into place that the inspection has read and compared with RECORD."""
    content = ZIPS[case]()
    expected = {name: body for name, body in read_zip(content).items() if name not in BY_INSTALLER}
    assert by_installer(command, content, tmp_path) == expected


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("another name in the file", "thing/x.py"),
        ("member missing in the directory", "thing/b.py"),
        ("second archive behind", "thing/a.py"),
    ],
)
def test_ambiguous_zip_has_two_readings(case: str, name: str) -> None:
    """A reader from the start finds a member that zipfile does not: what is scanned is not what is installed."""
    content = corpora_zips.REJECTED[case][0]()
    assert name in from_the_start(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert name not in archive.namelist()


def from_the_start(content: bytes) -> list[str]:
    """The names that a reader finds that takes one member after the other, as where a wheel is unpacked on arrival."""
    names, position = [], 0
    while content[position : position + 4] == b"PK\3\4":
        stored = int.from_bytes(content[position + 18 : position + 22], "little")
        length, more = (int.from_bytes(content[position + at : position + at + 2], "little") for at in (26, 28))
        names.append(content[position + 30 : position + 30 + length].decode())
        position += 30 + length + more + stored
    return names


def refused_by(command: tuple[str, ...], content: bytes, folder: Path) -> bool:
    """Tell whether an installer refuses a wheel."""
    try:
        by_installer(command, content, folder)
    except subprocess.CalledProcessError:
        return True
    return False


@pytest.mark.parametrize(
    "content",
    [
        lambda: whole(A, prefix=b"#!/bin/sh\n"),
        lambda: whole(A, B, hidden=(B.name,)),
        corpora_wheels.REJECTED["another digest"][0],
    ],
    ids=["prefix", "hidden member", "wrong digest"],
)
def test_installers_take_what_is_refused(content: Callable[[], bytes], tmp_path: Path) -> None:
    """At least one installer takes each of these without a word; so the index must not."""
    (tmp_path / "pip").mkdir()
    (tmp_path / "uv").mkdir()
    taken = [not refused_by(PIP, content(), tmp_path / "pip"), not refused_by(UV, content(), tmp_path / "uv")]
    assert any(taken)


def test_pip_takes_an_sdist_for_a_zip() -> None:
    """An sdist in whose end a ZIP file lies is a ZIP file to pip, whatever its name is."""
    assert zipfile.is_zipfile(io.BytesIO(TARS["zip at the end"][0]()))
    assert tarfile.is_tarfile(io.BytesIO(TARS["zip at the end"][0]()))


def test_tarfile_reads_on_where_others_end() -> None:
    """The standard library joins gzip members, so that a second one can hide members from tools that read one."""
    content = TARS["tar in two gzip members"][0]()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == ["thing-1.0/PKG-INFO", "thing-1.0/a.py"]


def test_pax_size_has_two_readings() -> None:
    """The standard library believes the extended header; others the header itself, which says something else."""
    content = TARS["pax size"][0]()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getmember("thing-1.0/a.py").size == 0
    stated = gzip.decompress(content).split(b"thing-1.0/a.py".ljust(100, b"\0"))[1][24:36]
    assert int(stated.rstrip(b"\0"), 8) == 12


def test_tarfile_reads_on_behind_an_extended_header() -> None:
    """The standard library takes what only fills the last block of an extended header for more of it."""
    with tarfile.open(fileobj=io.BytesIO(TARS["pax record after the end"][0]())) as archive:
        assert "../../x" in archive.getnames()
