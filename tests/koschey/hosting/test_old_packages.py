"""Packages of ten years ago: with some rules off they can be uploaded, are served, and are installed."""

import bz2
import io
import tarfile
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.support import archives
from tests.support.commands import pip
from tests.support.koschey_up import Koschey, ask
from tests.support.upload_rules import File, sdist, switch, wheel
from tests.support.uploads import upload

OLD = (
    ("wheel-filename", wheel("My.Old_Wheel", as_="My.Old_Wheel", metadata_version="2.0")),
    ("sdist-filename", sdist("My.Old-Sdist", "Home-Page: UNKNOWN", "License: UNKNOWN", as_="My.Old-Sdist")),
)
"""What tools of ten years ago built, and which rule is the first to refuse it."""


@pytest.mark.parametrize(("rule", "file"), OLD, ids=[rule for rule, _ in OLD])
def test_old_packages_can_be_moved_in(koschey: Koschey, switches: None, rule: str, file: File) -> None:
    """With the rules off that are for today's build tools they are taken, served, and installed."""
    project = canonicalize_name(file[0].rpartition("-1.0")[0])
    changes = {"name": project, "version": "1.0"}
    answer = upload(koschey, file, changes)
    assert (answer.status, f"upload-rules set {rule} off" in answer.body.decode()) == (400, True)
    for name in ("sdist-format", "sdist-filename", "wheel-filename", "metadata-version", "web-url"):
        switch(koschey, name, on=False)
    answer = upload(koschey, file, changes)
    assert answer.status == 200, answer
    assert f"Warning ({rule}): " in answer.body.decode()
    assert koschey.filenames(project) == [file[0]]
    assert ask(koschey.url + koschey.path_of(file[0])).body == file[1]


def test_old_formats_of_sdists_are_installed(koschey: Koschey, switches: None, tmp_path: Path) -> None:
    """A `.zip` and a `.tar.bz2` that were moved in are what pip builds from."""
    for name in ("sdist-format", "sdist-filename"):
        switch(koschey, name, on=False)
    for suffix in (".zip", ".tar.bz2"):
        project = f"ur-built{suffix.replace('.', '-')}"
        filename, content = archives.sdist(project, "1.0")
        repacked = repack(content, suffix)
        file = (filename.replace("_", "-").replace(".tar.gz", suffix), repacked)
        answer = upload(koschey, file, {"name": project, "version": "1.0"})
        assert answer.status == 200, answer
        target = tmp_path / suffix
        pip("install", "--index-url", koschey.index_url, "--no-binary=:all:", "--target", str(target), project)
        assert (target / f"{project.replace('-', '_')}.py").exists()


def repack(content: bytes, suffix: str) -> bytes:
    """The members of a `.tar.gz` in another format."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {info.name: (archive.extractfile(info) or io.BytesIO()).read() for info in archive}
    return archives._zip(members) if suffix == ".zip" else bz2.compress(archives._tar(members))
