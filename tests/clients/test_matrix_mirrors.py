"""Mirrors of Koschey: bandersnatch in full and then what changed, old and new; devpi, and pip through it."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import commands
import pytest
from archives import wheel
from install import Client
from install import client as client_of
from installers import install
from running import Koschey, ask, wait_until
from test_accept import upload
from upstream import Upstream
from venvs import call, home_of, versions

from koschey.embedded.ports import listen_anywhere

pytestmark = pytest.mark.matrix

CONFIGURATION = """\
[mirror]
directory = {folder}
master = {master}
allow-non-https = true
json = true
timeout = 20
workers = 2
verifiers = 1
hash-index = false
stop-on-error = true
storage-backend = filesystem
compare-method = hash
"""


@pytest.fixture(scope="module")
def source() -> Iterator[Upstream]:
    """An upstream whose every project is mirrored."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def mirrored(folder: Path, source: Upstream) -> Iterator[Koschey]:
    """An index with mirrored projects and a hosted one, and nothing of other tests."""
    source.add("b-plain", "1.0", requires_python=">=3.8")
    source.add("b-plain", "1.0", sdist=True)
    source.add("b-yanked", "1.0", yanked="it burns")
    source.add("b-bare", "1.0", core_metadata=False)
    with Koschey(folder / "mirrored", source.url, freshness=0.2) as koschey:
        for project in ("b-plain", "b-yanked", "b-bare"):
            koschey.page(project)
        assert upload(koschey, wheel("b-hosted", "1.0")).status == 200
        yield koschey


def mirror(client: Client, folder: Path, koschey: Koschey, *options: str) -> str:
    """Run bandersnatch, and return what it said."""
    configuration = folder / "bandersnatch.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder / "out", master=koschey.url))
    return call(client, "bandersnatch", "-c", str(configuration), "mirror", *options)


def mirrored_files(folder: Path) -> dict[str, bytes]:
    """What the mirror has: archives by name."""
    paths = (path for path in (folder / "out" / "web" / "packages").rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in paths if path.suffix != ".metadata"}


def page_of(folder: Path, project: str) -> str:
    """The mirror's HTML page of a project."""
    return (folder / "out" / "web" / "simple" / project / "index.html").read_text()


def wait_for_yank(koschey: Koschey, project: str, yanked: bool | str) -> None:
    """Wait until the index lists the upstream's mark."""
    wait_until(lambda: koschey.page(project)["files"][0]["yanked"] == yanked)


def check_mirror(koschey: Koschey, source: Upstream, folder: Path, client: Client) -> None:
    """A first run takes everything over, a second nothing, a third exactly what changed."""
    late, new = (f"b-{word}-{client.id.replace('.', '-')}" for word in ("late", "new"))
    source.add(late, "1.0")
    koschey.page(late)
    mirror(client, folder, koschey)
    found = mirrored_files(folder)
    for project in ("b-plain", "b-yanked", "b-bare", "b-hosted", late):
        for file in koschey.page(project)["files"]:
            assert found[file["filename"]] == ask(koschey.url + file["url"]).body
    assert "data-yanked" in page_of(folder, "b-yanked")
    before = (folder / "out" / "status").read_text().strip()
    assert before == ask(koschey.index_url).headers["x-pypi-last-serial"]
    assert "0 packages had changes" in mirror(client, folder, koschey)

    source.add(new, "1.0")
    koschey.page(new)
    source.yank(late, "1.0", "it burns")
    wait_for_yank(koschey, late, "it burns")
    assert "2 packages had changes" in mirror(client, folder, koschey)
    assert set(mirrored_files(folder)) - set(found) == set(koschey.filenames(new))
    assert "data-yanked" in page_of(folder, late)
    assert int((folder / "out" / "status").read_text()) > int(before)


def test_t_16_1(mirrored: Koschey, source: Upstream, tmp_path: Path) -> None:
    """bandersnatch 6 mirrors the index over XML-RPC."""
    check_mirror(mirrored, source, tmp_path, client_of("bandersnatch", "6.8.0"))


def test_t_17_1(mirrored: Koschey, source: Upstream, tmp_path: Path) -> None:
    """bandersnatch 8 mirrors the index, first in full and then what changed; and finds what it lost since."""
    client = client_of("bandersnatch", "8.2.0")
    check_mirror(mirrored, source, tmp_path, client)
    lost = next((tmp_path / "out" / "web" / "packages").rglob("b_hosted-1.0-py3-none-any.whl"))
    content = lost.read_bytes()
    lost.write_bytes(b"")
    # `verify` takes no plain http; a forced run compares every file as well.
    mirror(client, tmp_path, mirrored, "--force-check")
    assert lost.read_bytes() == content


def test_t_17_2(mirrored: Koschey, source: Upstream, tmp_path: Path) -> None:
    """A yank upstream raises the serial, so that a mirror takes it over; and the same again where it is taken back."""
    client = client_of("bandersnatch", "8.2.0")
    source.add("b-wavering", "1.0")
    serials = [mirrored.page("b-wavering")["meta"]["_last-serial"]]
    mirror(client, tmp_path, mirrored)
    assert "data-yanked" not in page_of(tmp_path, "b-wavering")
    for yanked in (True, False):
        (source.yank if yanked else source.unyank)("b-wavering", "1.0")
        wait_for_yank(mirrored, "b-wavering", yanked)
        serials.append(mirrored.page("b-wavering")["meta"]["_last-serial"])
        mirror(client, tmp_path, mirrored)
        assert ("data-yanked" in page_of(tmp_path, "b-wavering")) is yanked
    assert serials == sorted(set(serials))


@pytest.fixture
def devpi(mirrored: Koschey, tmp_path: Path) -> Iterator[str]:
    """A devpi server whose index `root/koschey` mirrors Koschey; its address."""
    client = client_of("devpi-server", "6.20.3")
    call(client, "devpi-init", "--serverdir", str(tmp_path / "devpi"), "--no-root-pypi", "--root-passwd", "secret")
    with listen_anywhere("127.0.0.1") as listener:
        port = listener.getsockname()[1]
    command = [str(home_of(client) / "bin" / "devpi-server"), "--serverdir", str(tmp_path / "devpi")]
    with (tmp_path / "devpi.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=log,
            env=commands.isolated(tmp_path),
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: server.poll() is None and answers(url), timeout=60)
            token = put(f"{url}/+login", {"user": "root", "password": "secret"}, "POST")["result"]["password"]
            settings = {"type": "mirror", "mirror_url": mirrored.index_url, "mirror_no_project_list": False}
            put(f"{url}/root/koschey", settings, "PUT", user=f"root:{token}")
            yield url
        finally:
            server.terminate()
            server.wait(30)


def answers(url: str) -> bool:
    """Whether somebody answers there."""
    try:
        return ask(f"{url}/+api", Accept="application/json").status == 200
    except OSError:
        return False


def put(url: str, content: object, method: str, user: str = "") -> Any:
    """Send JSON to devpi, and return its answer."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if user:
        headers["X-Devpi-Auth"] = b64encode(user.encode()).decode()
    with urlopen(Request(url, json.dumps(content).encode(), headers, method=method), timeout=30) as response:
        return json.load(response)


def test_devpi_mirrors(mirrored: Koschey, devpi: str, tmp_path: Path) -> None:
    """devpi lists what Koschey lists, with hashes and yanks, and pip and uv install through it."""
    pip, uv = versions("pip")[-1], versions("uv")[-1]
    for client in (pip, uv):
        found = install(client, tmp_path / client.name, "b-plain", "b-hosted", index=f"{devpi}/root/koschey/+simple/")
        assert found == {"b_plain-1.0", "b_hosted-1.0"}
    page = ask(f"{devpi}/root/koschey/+simple/b-yanked/").body.decode()
    assert "data-yanked" in page
    assert mirrored.page("b-yanked")["files"][0]["hashes"]["sha256"] in page
    names = ask(f"{devpi}/root/koschey/+simple/").body.decode()
    assert all(project in names for project in ("b-plain", "b-yanked", "b-bare", "b-hosted"))
