"""Sections 6, 8, 11, 16 and 19: what real installers make of the index."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.clients.installers import installed
from tests.clients.projects import installed as installed_in
from tests.clients.projects import sync
from tests.clients.venvs import name_of, versions
from tests.support import archives, commands
from tests.support.commands import pip, uv
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.temporal_cli import program
from tests.support.uploads import upload
from tests.support.upstream.server import Upstream

CUTOFF = "2022-01-01T00:00:00Z"
MANY = 10_000

type Install = Callable[..., str]


def pip_install(*arguments: str) -> str:
    """The newest pip."""
    return pip("install", *arguments)


def uv_install(*arguments: str) -> str:
    """The newest uv."""
    return uv("pip", "install", *arguments)


both = pytest.mark.parametrize("install", [pip_install, uv_install], ids=["pip", "uv"])


@pytest.fixture(scope="module")
def huge(koschey: Koschey, shared_upstream: Upstream) -> str:
    """A project with very many files, of which the newest is a real one."""
    for number in range(MANY):
        filename = f"t_huge-0.{number}-py3-none-any.whl"
        shared_upstream.add("t-huge", f"0.{number}", filename=filename, content=str(number).encode())
    shared_upstream.add("t-huge", "1.0")
    assert len(koschey.page("t-huge")["files"]) == MANY + 1
    return "t-huge"


@both
def test_t_6_4(koschey: Koschey, huge: str, tmp_path: Path, install: Install) -> None:
    """pip, uv and poetry read a page with ten thousand files."""
    install("--target", str(tmp_path), "--index-url", koschey.index_url, huge)
    assert installed(tmp_path) == {"t_huge-1.0"}


@pytest.mark.matrix
@pytest.mark.parametrize("client", versions("poetry")[-1:], ids=name_of)
def test_t_6_4_poetry(koschey: Koschey, huge: str, tmp_path: Path, client: object) -> None:
    """pip, uv and poetry read a page with ten thousand files."""
    sync(versions("poetry")[-1], tmp_path / "app", koschey.index_url, {huge: "==1.0"})
    assert installed_in(tmp_path / "app") == {"t_huge-1.0"}


def wait_for_yank(koschey: Koschey, project: str, yanked: bool | str) -> None:
    """Wait until the page says so, for no longer than a page may be cached."""
    wait_until(lambda: koschey.page(project)["files"][0]["yanked"] == yanked, timeout=5)


def test_t_8_3(koschey: Koschey, upstream: Upstream) -> None:
    """A client sees that a yank was lifted within the lifetime of a cached page."""
    upstream.add("t-yanked", "1.0", yanked="it burns")
    assert upload(koschey, archives.wheel("t-yanked-here", "1.0")).status == 200
    koschey.run("yank", "t-yanked-here==1.0", "--reason", "it burns")
    for name in ("t-yanked", "t-yanked-here"):
        wait_for_yank(koschey, name, "it burns")
    upstream.unyank("t-yanked", "1.0")
    koschey.run("unyank", "t-yanked-here==1.0", "--reason", "it does not")
    for name in ("t-yanked", "t-yanked-here"):
        wait_for_yank(koschey, name, False)


def cut_off(install: Install) -> tuple[str, str]:
    """The client's own cool-down."""
    return ("--uploaded-prior-to" if install is pip_install else "--exclude-newer", CUTOFF)


@both
def test_t_8_4(koschey: Koschey, upstream: Upstream, tmp_path: Path, install: Install) -> None:
    """`pip --uploaded-prior-to` works for hosted and for mirrored projects."""
    upstream.add("t-dated", "1.0", upload_time=datetime(2020, 5, 1, tzinfo=UTC))
    upstream.add("t-dated", "2.0", upload_time=datetime(2023, 5, 1, tzinfo=UTC))
    for folder, index in (("through", koschey.index_url), ("directly", upstream.url)):
        install("--target", str(tmp_path / folder), "--index-url", index, *cut_off(install), "t-dated")
        assert installed(tmp_path / folder) == {"t_dated-1.0"}
        install("--target", str(tmp_path / f"{folder}-all"), "--index-url", index, "t-dated")
        assert installed(tmp_path / f"{folder}-all") == {"t_dated-2.0"}
        with pytest.raises(subprocess.CalledProcessError):
            install("--target", str(tmp_path / "none"), "--index-url", index, *cut_off(install), "t-dated==2.0")
    assert upload(koschey, archives.wheel("t-dated-here", "1.0")).status == 200
    arguments = ("--target", str(tmp_path / "here"), "--index-url", koschey.index_url, "t-dated-here")
    with pytest.raises(subprocess.CalledProcessError):
        install(*arguments, *cut_off(install))
    install(*arguments, cut_off(install)[0], "2999-01-01T00:00:00Z")
    assert installed(tmp_path / "here") == {"t_dated_here-1.0"}


def recorded(koschey: Koschey, upstream: Upstream) -> str:
    """A project whose page has `_koschey` for its file."""
    file = upstream.add("t-recorded", "1.0")
    koschey.page("t-recorded")
    assert ask(koschey.url + file.path).status == 200
    wait_until(lambda: "_koschey" in koschey.page("t-recorded")["files"][0])
    return "t-recorded"


@both
def test_t_11_4(koschey: Koschey, upstream: Upstream, tmp_path: Path, install: Install) -> None:
    """pip, uv and poetry ignore `_koschey`."""
    install("--target", str(tmp_path), "--index-url", koschey.index_url, recorded(koschey, upstream))
    assert installed(tmp_path) == {"t_recorded-1.0"}


@pytest.mark.matrix
def test_t_11_4_poetry(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """pip, uv and poetry ignore `_koschey`."""
    sync(versions("poetry")[-1], tmp_path / "app", koschey.index_url, {recorded(koschey, upstream): "*"})
    assert installed_in(tmp_path / "app") == {"t_recorded-1.0"}


def test_t_11_3(koschey: Koschey, upstream: Upstream) -> None:
    """A record does not change when the upstream later lists the same file at another URL."""
    file = upstream.add("t-moved", "1.0")
    koschey.page("t-moved")
    assert ask(koschey.url + file.path).status == 200
    url = f"{koschey.url}{file.path}.provenance_url.json"
    before = ask(url)
    assert before.json["url"] == file.url
    upstream.file_layout = "flat"
    try:
        moved = upstream.add("t-moved", "1.0", upload_time=file.upload_time)
    finally:
        upstream.file_layout = "pypi"
    assert moved.url != file.url
    assert moved.sha256 == file.sha256
    newer = upstream.add("t-moved", "1.1")
    wait_until(lambda: koschey.page("t-moved") and koschey.state_of(newer.filename))
    assert ask(koschey.url + file.path).body == file.content
    assert ask(url).body == before.body


def test_t_10_1(koschey: Koschey, upstream: Upstream) -> None:
    """A mirrored provenance object is the upstream's, byte for byte."""
    publisher = b'{"kind": "GitHub", "claims": null}'
    said = b'{ "version": 1, "attestation_bundles": [ {"publisher": %s, "attestations": []} ] }' % publisher
    file = upstream.add("t-provenance", "1.0", provenance=lambda *_: said)
    koschey.page("t-provenance")
    assert ask(koschey.url + file.path).status == 200
    answer = ask(f"{koschey.url}/integrity/t-provenance/1.0/{file.filename}/provenance")
    assert answer.status == 200
    assert answer.body == said
    assert answer.headers["content-type"] == "application/vnd.pypi.integrity.v1+json"


def test_t_16_3(koschey: Koschey) -> None:
    """`pip search` finds a project."""
    assert upload(koschey, archives.wheel("t-searched", "1.0")).status == 200
    said = pip("search", "--index", f"{koschey.url}/pypi", "searched")
    assert "t-searched (1.0)" in said
    assert "t-searched for tests" in said


def test_t_19_5(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """A second `uv pip compile` revalidates the pages and gets 304."""
    upstream.add("t-cached", "1.0")
    (tmp_path / "in.txt").write_text("t-cached\n")
    options = ("--no-config", "--python", sys.executable, "--cache-dir", str(tmp_path / "cache"), "-vv")
    command = (program("uv"), "pip", "compile", *options, "--index-url", koschey.index_url, str(tmp_path / "in.txt"))
    url = f"{koschey.index_url}t-cached/"
    assert f"Found not-modified response for: {url}" not in commands.run(*command)
    assert f"Found not-modified response for: {url}" in commands.run(*command)
