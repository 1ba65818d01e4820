"""Real pip and uv against a real index: they install, resolve, lock and refuse as their users expect."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.commands import pip, uv
from tests.support.koschey_up import Koschey, wait_until
from tests.support.upstream.server import Upstream


def installed(target: Path) -> set[str]:
    """The distributions in a folder."""
    return {path.name.removesuffix(".dist-info") for path in target.glob("*.dist-info")}


@pytest.fixture
def chain(upstream: Upstream) -> str:
    """A project that needs two others; the newest release of one is fresh."""
    upstream.add("c-top", "1.0", requires=["c-middle>=1"])
    upstream.add("c-middle", "1.0", requires=["c-leaf"])
    upstream.add("c-leaf", "1.0")
    upstream.add("c-leaf", "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    return "c-top"


def test_pip_installs_with_dependencies_and_passes_over_what_is_held(
    koschey: Koschey, chain: str, tmp_path: Path
) -> None:
    """pip resolves a chain, takes the released version where a newer one is held, and finds the same offline."""
    pip("install", "--target", str(tmp_path / "a"), "--index-url", koschey.index_url, chain)
    assert installed(tmp_path / "a") == {"c_top-1.0", "c_middle-1.0", "c_leaf-1.0"}


def test_uv_installs_with_dependencies_and_passes_over_what_is_held(
    koschey: Koschey, chain: str, tmp_path: Path
) -> None:
    """uv resolves the same chain to the same versions."""
    uv("pip", "install", "--target", str(tmp_path / "a"), "--index-url", koschey.index_url, chain)
    assert installed(tmp_path / "a") == {"c_top-1.0", "c_middle-1.0", "c_leaf-1.0"}


def test_second_install_needs_no_upstream(koschey: Koschey, upstream: Upstream, chain: str, tmp_path: Path) -> None:
    """What was installed once installs again while the upstream is down, without the client's own cache."""
    pip("install", "--target", str(tmp_path / "a"), "--index-url", koschey.index_url, chain)
    upstream.down()
    try:
        pip("install", "--target", str(tmp_path / "b"), "--index-url", koschey.index_url, chain)
        uv("pip", "install", "--target", str(tmp_path / "c"), "--index-url", koschey.index_url, chain)
    finally:
        upstream.up()
    assert installed(tmp_path / "b") == installed(tmp_path / "c") == installed(tmp_path / "a")


@pytest.mark.parametrize("client", [pip, uv])
def test_held_pin_is_not_installed(koschey: Koschey, chain: str, tmp_path: Path, client: object) -> None:
    """A pin of a held version fails, and installs once it is approved."""
    pin = "c-leaf==2.0"
    arguments = ("install", "--target", str(tmp_path / "a"), "--index-url", koschey.index_url, pin)
    if koschey.state_of("c_leaf-2.0-py3-none-any.whl") == "released":
        koschey.run("block", pin, "--yes", "--reason", "start anew")
        koschey.run("unblock", pin, "--reason", "start anew")
    with pytest.raises(subprocess.CalledProcessError):
        run(client, *arguments)
    assert installed(tmp_path / "a") == set()
    koschey.run("approve", pin, "--reason", "needed")
    run(client, *arguments)
    assert installed(tmp_path / "a") == {"c_leaf-2.0"}


def run(client: object, *arguments: str) -> None:
    """Run pip, or uv's pip."""
    if client is pip:
        pip(*arguments)
    else:
        uv("pip", *arguments)


def test_uv_lock_names_paths_of_the_index_and_syncs(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """uv locks against the index, and the lock's URLs have the upstream's own paths."""
    file = upstream.add("c-locked", "1.0")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["c-locked"]\n'
    )
    uv("lock", "--project", str(tmp_path), "--default-index", koschey.index_url)
    lock = (tmp_path / "uv.lock").read_text()
    assert koschey.url + file.path in lock
    assert f"sha256:{file.sha256}" in lock


def test_hash_checking_mode(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """`pip install --require-hashes` accepts what the index serves, and refuses another digest."""
    file = upstream.add("c-hashed", "1.0")
    requirements = tmp_path / "requirements.txt"
    arguments = ("install", "--target", str(tmp_path / "a"), "--index-url", koschey.index_url, "--require-hashes")
    requirements.write_text(f"c-hashed==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(subprocess.CalledProcessError):
        pip(*arguments, "-r", str(requirements))
    requirements.write_text(f"c-hashed==1.0 --hash=sha256:{file.sha256}\n")
    pip(*arguments, "-r", str(requirements))
    assert installed(tmp_path / "a") == {"c_hashed-1.0"}


def test_html_only_client_sees_the_same(koschey: Koschey, chain: str, tmp_path: Path) -> None:
    """pypi-simple reads both forms of the page and finds the same files with the same facts."""
    from pypi_simple import ACCEPT_HTML_ONLY, ACCEPT_JSON_ONLY, PyPISimple  # noqa: PLC0415

    with PyPISimple(koschey.index_url) as client:
        html = client.get_project_page("c-middle", accept=ACCEPT_HTML_ONLY)
        json = client.get_project_page("c-middle", accept=ACCEPT_JSON_ONLY)
    assert [(p.filename, p.url, p.digests, p.requires_python) for p in html.packages] == [
        (p.filename, p.url, p.digests, p.requires_python) for p in json.packages
    ]
    assert json.packages


def test_cool_down_of_the_client_agrees(koschey: Koschey, chain: str, tmp_path: Path) -> None:
    """`uv --exclude-newer` judges by the upstream's upload times as through the upstream itself."""
    wait_until(lambda: koschey.filenames("c-top"))
    with pytest.raises(subprocess.CalledProcessError):
        uv(
            *("pip", "install", "--target", str(tmp_path / "a"), "--index-url", koschey.index_url),
            *("--exclude-newer", "2001-01-01T00:00:00Z", "c-top"),
        )
