"""Uploads by real clients, and what they install and find afterwards."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.support.archives import other_bytes, sdist, wheel
from tests.support.koschey_up import Koschey, ask, wait_until
from tests.support.uploads import token_of, upload


@pytest.fixture
def clients(tmp_path: Path) -> dict[str, str]:
    """The environment in which real clients run: nothing of the user's, and no proxy."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1", "UV_NO_CONFIG": "1"}


def run(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a client; the width keeps its messages on one line."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        env=environment | {"COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def save(folder: Path, file: tuple[str, bytes]) -> str:
    """Write a file where clients find it."""
    folder.mkdir(exist_ok=True)
    (folder / file[0]).write_bytes(file[1])
    return str(folder / file[0])


def test_twine_uploads_and_pip_installs(koschey: Koschey, clients: dict[str, str], tmp_path: Path) -> None:
    """twine uploads a wheel and an sdist, and shows our message when it may not; pip installs at once."""
    target = ("--repository-url", koschey.ready["upload_url"], "-u", "__token__", "-p", token_of(koschey))
    twine = ("twine", "upload", "--non-interactive", "--verbose", *target)
    files = [save(tmp_path, build("by-twine", "1.0")) for build in (wheel, sdist)]
    done = run(clients, *twine, *files)
    assert done.returncode == 0, done.stdout + done.stderr
    pip = ("pip", "install", "--no-cache-dir", "--isolated", "--index-url", koschey.index_url, "by-twine")
    for option in ("--only-binary=:all:", "--no-binary=:all:"):
        done = run(clients, *pip, option, "--target", str(tmp_path / option))
        assert done.returncode == 0, done.stderr
        assert (tmp_path / option / "by_twine.py").exists()
    done = run(clients, *twine, save(tmp_path / "other", other_bytes("by-twine", "1.0")))
    assert done.returncode == 1
    assert "File already exists" in done.stdout


def test_uv_publishes_and_installs(koschey: Koschey, clients: dict[str, str], tmp_path: Path) -> None:
    """uv publishes, skips what is there, shows our message and not raw JSON, and installs at once."""
    publish = ("uv", "publish", "--publish-url", koschey.ready["upload_url"], "--token", token_of(koschey))
    file = save(tmp_path, wheel("by-uv", "1.0"))
    done = run(clients, *publish, file)
    assert done.returncode == 0, done.stderr
    install = ("uv", "pip", "install", "--no-cache", "--index-url", koschey.index_url, "--target", str(tmp_path / "to"))
    done = run(clients, *install, "by-uv")
    assert done.returncode == 0, done.stderr
    done = run(clients, *publish, "--check-url", koschey.index_url, file)
    assert (done.returncode, "skipping" in done.stderr) == (0, True), done.stderr
    done = run(clients, *publish, save(tmp_path / "other", other_bytes("by-uv", "1.0")))
    assert done.returncode != 0
    assert "Server says: 400 File already exists ('by_uv-1.0" in done.stderr


def test_hatch_finds_what_is_here_below_the_upload_url(koschey: Koschey) -> None:
    """hatch asks for any type and reads the texts of links; other pages are not found there."""
    file = wheel("ur-hatch", "1.0")
    assert upload(koschey, file).status == 200
    answer = wait_until(
        lambda: (got := ask(f"{koschey.url}/legacy/%2Bsimple/ur-hatch/", Accept="*/*")).status == 200 and got
    )
    assert answer.headers["content-type"].startswith("text/html")
    assert f">{file[0]}</a>" in answer.body.decode()
    [link] = re.findall('href="([^#"]+)', answer.body.decode())
    assert ask(urljoin(f"{koschey.url}/legacy/%2Bsimple/ur-hatch/", link)).status == 200
    assert ask(f"{koschey.url}/legacy/%2Bsimple/ur-nothing-here/").status == 404
