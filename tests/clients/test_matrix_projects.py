"""Every supported manager of projects: poetry, PDM and pip-tools lock against the index, and pypi-simple reads it."""

import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.clients.install import Client
from tests.clients.install import client as client_of
from tests.clients.installers import install
from tests.clients.projects import installed, sync
from tests.clients.venvs import call, name_of, python_of, versions
from tests.support import commands
from tests.support.koschey_up import Koschey
from tests.support.upstream.server import Upstream

MANAGERS = versions("poetry", "pdm")
FRESH = datetime.now(UTC) - timedelta(hours=1)

pytestmark = pytest.mark.matrix
every_manager = pytest.mark.parametrize("client", MANAGERS, ids=name_of)


@every_manager
def test_locks_and_installs(shelf: Koschey, tmp_path: Path, client: Client) -> None:
    """A wheel with metadata, one without, an sdist, a yanked pin and a hosted name are locked by hash and installed."""
    lock = sync(client, tmp_path / "app", shelf.index_url, {"m-app": "*", "m-yanked": "==1.1", "m-clash": "*"})
    expected = {"m_app-1.0", "m_with_metadata-1.0", "m_without_metadata-1.0", "m_source-1.0"}
    assert installed(tmp_path / "app") == expected | {"m_yanked-1.1", "m_clash-1.0"}
    hashes = [
        file["hashes"]["sha256"] for name in ("m-app", "m-source", "m-clash") for file in shelf.page(name)["files"]
    ]
    assert all(f"sha256:{digest}" in lock for digest in hashes)


@every_manager
@pytest.mark.parametrize("requirement", [{"m-clash": ">1.0"}, {"m-malware": "*"}], ids=["clash", "blocked"])
def test_refuses(shelf: Koschey, tmp_path: Path, client: Client, requirement: dict[str, str]) -> None:
    """The upstream's releases of a hosted name, and a blocked project, are not found."""
    with pytest.raises(subprocess.CalledProcessError):
        sync(client, tmp_path / "app", shelf.index_url, requirement)
    assert installed(tmp_path / "app") == set()


@every_manager
def test_quarantined_name_with_a_second_index(
    shelf: Koschey, upstream: Upstream, tmp_path: Path, client: Client
) -> None:
    """A blocked or held project is taken from a second index, unless the user binds the name to Koschey."""
    upstream.add("m-held", "1.0", upload_time=FRESH)
    for name in ("m-malware", "m-held"):
        attempt = partial(sync, client, index=shelf.index_url, requirements={name: "*"}, second_index=upstream.url)
        attempt(tmp_path / name)
        assert installed(tmp_path / name) == {f"{name.replace('-', '_')}-1.0"}
        with pytest.raises(subprocess.CalledProcessError):
            attempt(tmp_path / f"{name}-bound", bound=True)
        assert installed(tmp_path / f"{name}-bound") == set()


@every_manager
def test_held_release_with_a_second_index(shelf: Koschey, upstream: Upstream, tmp_path: Path, client: Client) -> None:
    """Of a project that Koschey has, poetry asks no second index, while PDM does, unless the user binds the name."""
    upstream.add("m-partly", "1.0")
    upstream.add("m-partly", "2.0", upload_time=FRESH)
    attempt = partial(sync, client, index=shelf.index_url, requirements={"m-partly": "*"}, second_index=upstream.url)
    attempt(tmp_path / "a")
    assert installed(tmp_path / "a") == {"m_partly-1.0" if client.name == "poetry" else "m_partly-2.0"}
    attempt(tmp_path / "b", bound=True)
    assert installed(tmp_path / "b") == {"m_partly-1.0"}


@pytest.mark.parametrize("client", versions("pip-tools"), ids=name_of)
def test_pip_tools_locks_by_hash(shelf: Koschey, tmp_path: Path, client: Client) -> None:
    """What pip-compile locks with hashes, pip installs with `--require-hashes`."""
    (tmp_path / "in.txt").write_text("m-app\nm-yanked\n")
    locked = tmp_path / "locked.txt"
    options = ("--generate-hashes", "--no-emit-index-url", "--quiet", "--index-url", shelf.index_url)
    call(client, "pip-compile", *options, "--output-file", str(locked), str(tmp_path / "in.txt"))
    found = install(client_of("pip", "26.3"), tmp_path / "a", index=shelf.index_url, locked=locked)
    assert found == {"m_app-1.0", "m_with_metadata-1.0", "m_without_metadata-1.0", "m_source-1.0", "m_yanked-1.0"}


READ = """
import sys
from pypi_simple import ACCEPT_HTML_ONLY, ACCEPT_JSON_ONLY, PyPISimple
with PyPISimple(sys.argv[1]) as client:
    for accept in (ACCEPT_HTML_ONLY, ACCEPT_JSON_ONLY):
        for package in client.get_project_page(sys.argv[2], accept=accept).packages:
            print(package.filename, package.digests["sha256"], package.is_yanked, package.yanked_reason, sep="|")
            client.download_package(package, sys.argv[3] + "/" + package.filename)
"""


@pytest.mark.parametrize("client", versions("pypi-simple"), ids=name_of)
def test_pypi_simple_reads_both_forms(shelf: Koschey, tmp_path: Path, client: Client) -> None:
    """Both forms list the same files, which are downloaded and verified."""
    said = commands.run(python_of(client), "-c", READ, shelf.index_url, "m-yanked", str(tmp_path)).split("\n")
    lines = [line for line in said if line]
    assert lines[:2] == lines[2:]
    assert [line.partition("|")[0] for line in lines[:2]] == [path.name for path in sorted(tmp_path.iterdir())]
    assert lines[1].endswith("|True|it burns")
