"""Mirrors of Koschey: bandersnatch, old and new, and what it verifies over TLS; devpi, and pip through it."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from koschey.embedded.ports import listen_anywhere
from tests.clients.install import client as client_of
from tests.clients.installers import install, installed
from tests.clients.mirrors import Mirror
from tests.clients.tls import Terminator
from tests.clients.venvs import call, home_of, python_of, versions
from tests.support import commands
from tests.support.archives import wheel
from tests.support.bound_processes import bound
from tests.support.koschey_up import JSON, Koschey, ask, wait_until
from tests.support.sigstore import Sigstore
from tests.support.uploads import upload
from tests.support.upstream.server import Upstream

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def source() -> Iterator[Upstream]:
    """An upstream whose every project is mirrored."""
    with Upstream() as upstream:
        upstream.add("b-plain", "1.0", requires_python=">=3.8")
        upstream.add("b-plain", "1.0", sdist=True)
        upstream.add("b-yanked", "1.0", yanked="it burns")
        upstream.add("b-bare", "1.0", core_metadata=False)
        yield upstream


def furnish(koschey: Koschey) -> None:
    """Have the upstream's projects mirrored, and host one."""
    for project in ("b-plain", "b-yanked", "b-bare"):
        koschey.page(project)
    assert upload(koschey, wheel("b-hosted", "1.0")).status == 200


@pytest.fixture(scope="module")
def mirrored(folder: Path, source: Upstream) -> Iterator[Koschey]:
    """An index with mirrored projects and a hosted one, and nothing of other tests."""
    with Koschey(folder / "mirrored", source.url, freshness=0.2) as koschey:
        furnish(koschey)
        yield koschey


@pytest.fixture(scope="module")
def proxy(folder: Path) -> Iterator[Terminator]:
    """What users of `secure` talk to."""
    with Terminator(folder / "tls") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def secure(folder: Path, source: Upstream, proxy: Terminator) -> Iterator[Koschey]:
    """Such an index behind TLS, with a file that is attested."""
    source.add("b-attested", "1.0", provenance=Sigstore().provenance)
    with Koschey(folder / "secure", source.url, freshness=0.2, base_url=proxy.url) as koschey:
        proxy.forward_to(koschey.port)
        furnish(koschey)
        [attested] = koschey.page("b-attested")["files"]
        assert ask(koschey.url + attested["url"]).status == 200
        # That an attestation was checked is a change of its own; mirrors shall find it done.
        wait_until(lambda: koschey.fetch_value("SELECT count(*) FROM attestation"))
        yield koschey


@pytest.fixture
def mirror(tmp_path: Path, secure: Koschey, proxy: Terminator) -> Mirror:
    """A mirror of that index that bandersnatch 8 is to make."""
    return Mirror(client_of("bandersnatch", "8.2.0"), tmp_path / "mirror", proxy.url, proxy.certificates)


def wait_for_yank(koschey: Koschey, project: str, yanked: bool | str) -> None:
    """Wait until the index lists the upstream's mark."""
    wait_until(lambda: koschey.page(project)["files"][0]["yanked"] == yanked)


def check_mirror(koschey: Koschey, source: Upstream, mirror: Mirror) -> None:
    """A first run takes everything over, a second nothing, a third exactly what changed."""
    late, new = (f"b-{word}-{mirror.client.id.replace('.', '-')}" for word in ("late", "new"))
    source.add(late, "1.0")
    koschey.page(late)
    mirror.run("mirror")
    found = mirror.files
    for project in ("b-plain", "b-yanked", "b-bare", "b-hosted", late):
        for file in koschey.page(project)["files"]:
            assert found[file["filename"]] == ask(koschey.url + file["url"]).body
    assert "data-yanked" in mirror.page_of("b-yanked")
    before = mirror.serial
    assert str(before) == ask(koschey.index_url).headers["x-pypi-last-serial"]
    assert "0 packages had changes" in mirror.run("mirror")

    source.add(new, "1.0")
    koschey.page(new)
    source.yank(late, "1.0", "it burns")
    wait_for_yank(koschey, late, "it burns")
    assert "2 packages had changes" in mirror.run("mirror")
    assert set(mirror.files) - set(found) == set(koschey.filenames(new))
    assert "data-yanked" in mirror.page_of(late)
    assert mirror.serial > before


def test_t_16_1(mirrored: Koschey, source: Upstream, tmp_path: Path) -> None:
    """bandersnatch 6 mirrors the index over XML-RPC."""
    check_mirror(mirrored, source, Mirror(client_of("bandersnatch", "6.8.0"), tmp_path, mirrored.url))


def test_t_17_1(secure: Koschey, source: Upstream, mirror: Mirror) -> None:
    """bandersnatch 8 mirrors the index, first completely and then only the changes; it then verifies what it has."""
    check_mirror(secure, source, mirror)
    before = mirror.files
    said = mirror.run("verify", "--json-update", "--delete")
    assert "No files were downloaded" in said
    assert " 0 unowned files" in said
    assert mirror.files == before


def test_verify_repairs_what_was_damaged(secure: Koschey, mirror: Mirror) -> None:
    """A file that was cut off, one that is gone and metadata with a changed byte are found, and fetched again."""
    mirror.run("mirror")
    names = ("b_hosted-1.0-py3-none-any.whl", "b_plain-1.0.tar.gz", "b_plain-1.0-py3-none-any.whl.metadata")
    cut, gone, changed = paths = [mirror.paths[name] for name in names]
    honest = [path.read_bytes() for path in paths]
    cut.write_bytes(honest[0][:-1])
    gone.unlink()
    changed.write_bytes(b"X" + honest[2][1:])

    said = mirror.run("verify", "--dry-run")
    assert all(f"{name} would be fetched" in said for name in names)
    assert "Would download 3 files" in said
    assert not gone.exists()

    assert "Downloaded 3 files" in mirror.run("verify")
    assert [path.read_bytes() for path in paths] == honest
    assert "No files were downloaded" in mirror.run("verify")


def test_verify_deletes_what_is_no_longer_listed(secure: Koschey, source: Upstream, mirror: Mirror) -> None:
    """What was removed, and a release or a project that was blocked, leave the mirror, and nothing else does."""
    for version in ("1.0", "1.1"):
        source.add("b-blocked", version)
        assert upload(secure, wheel("b-removed", version)).status == 200
    source.add("b-malware", "1.0")
    for project in ("b-blocked", "b-malware"):
        secure.page(project)
    mirror.run("mirror")
    before = set(mirror.paths)
    secure.run("remove", "b-removed==1.0", "--yes", "--reason", "by mistake")
    secure.run("block", "b-blocked==1.0", "--reason", "malware")
    secure.run("block", "b-malware", "--yes", "--reason", "malware")
    gone = {f"{name}-1.0-py3-none-any.whl" for name in ("b_removed", "b_blocked", "b_malware")}
    gone |= {f"{name}.metadata" for name in gone}
    assert gone < before

    mirror.run("verify", "--json-update", "--delete")
    assert set(mirror.paths) == before - gone


def test_t_10_2_tls(secure: Koschey, source: Upstream, proxy: Terminator) -> None:
    """A provenance URL is absolute and on a secure origin: the one that users reach, where it is served."""
    page = Request(f"{proxy.url}/simple/b-attested/", headers={"Accept": JSON})
    with urlopen(page, context=proxy.trust, timeout=30) as response:
        [file] = json.load(response)["files"]
    assert file["provenance"].startswith(f"{proxy.url}/")
    with urlopen(file["provenance"], context=proxy.trust, timeout=30) as response:
        assert response.read() == source.file(file["filename"]).provenance


@pytest.mark.parametrize("version", ["25.3", "26.3"])
def test_pip_installs_over_tls(secure: Koschey, proxy: Terminator, tmp_path: Path, version: str) -> None:
    """pip installs from the https address where it is told whose certificate to believe, and else not."""
    command = [python_of(client_of("pip", version)), "-m", "pip", "--isolated", "--no-cache-dir", "--no-input"]
    command += ["install", "--retries", "0", "--target", str(tmp_path / "a"), "--index-url", f"{proxy.url}/simple/"]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        commands.run(*command, "b-plain", "b-hosted")
    assert "CERTIFICATE_VERIFY_FAILED" in refused.value.stdout + refused.value.stderr
    assert installed(tmp_path / "a") == set()
    commands.run(*command, "--cert", str(proxy.certificates), "b-plain", "b-hosted")
    assert installed(tmp_path / "a") == {"b_plain-1.0", "b_hosted-1.0"}


def test_t_17_2(mirrored: Koschey, source: Upstream, tmp_path: Path) -> None:
    """A yank by the upstream increases the serial, so that mirrors copy it; also when it is lifted."""
    mirror = Mirror(client_of("bandersnatch", "8.2.0"), tmp_path, mirrored.url)
    source.add("b-wavering", "1.0")
    serials = [mirrored.page("b-wavering")["meta"]["_last-serial"]]
    mirror.run("mirror")
    assert "data-yanked" not in mirror.page_of("b-wavering")
    for yanked in (True, False):
        (source.yank if yanked else source.unyank)("b-wavering", "1.0")
        wait_for_yank(mirrored, "b-wavering", yanked)
        serials.append(mirrored.page("b-wavering")["meta"]["_last-serial"])
        mirror.run("mirror")
        assert ("data-yanked" in mirror.page_of("b-wavering")) is yanked
    assert serials == sorted(set(serials))


DEVPI_INDEX = "root/koschey"
"""devpi names an index by its user and itself; `root` is the user that it comes with."""


@pytest.fixture
def devpi(mirrored: Koschey, tmp_path: Path) -> Iterator[str]:
    """A devpi server of which an index mirrors Koschey; its Simple API."""
    client = client_of("devpi-server", "6.20.3")
    call(client, "devpi-init", "--serverdir", str(tmp_path / "devpi"), "--no-root-pypi", "--root-passwd", "secret")
    with listen_anywhere("127.0.0.1") as listener:
        port = listener.getsockname()[1]
    command = [str(home_of(client) / "bin" / "devpi-server"), "--serverdir", str(tmp_path / "devpi")]
    with (tmp_path / "devpi.log").open("wb") as log:
        server = subprocess.Popen(
            bound([*command, "--host", "127.0.0.1", "--port", str(port)]),
            stdout=log,
            stderr=log,
            env=commands.isolated(tmp_path),
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: server.poll() is None and answers(url), timeout=60)
            token = put(f"{url}/+login", {"user": "root", "password": "secret"}, "POST")["result"]["password"]
            settings = {"type": "mirror", "mirror_url": mirrored.index_url, "mirror_no_project_list": False}
            put(f"{url}/{DEVPI_INDEX}", settings, "PUT", user=f"root:{token}")
            yield f"{url}/{DEVPI_INDEX}/+simple/"
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
        found = install(client, tmp_path / client.name, "b-plain", "b-hosted", index=devpi)
        assert found == {"b_plain-1.0", "b_hosted-1.0"}
    page = ask(f"{devpi}b-yanked/").body.decode()
    assert "data-yanked" in page
    assert mirrored.page("b-yanked")["files"][0]["hashes"]["sha256"] in page
    names = ask(devpi).body.decode()
    assert all(project in names for project in ("b-plain", "b-yanked", "b-bare", "b-hosted"))
