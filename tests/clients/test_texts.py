"""What pip and uv print for a release that is held or blocked. The words were read off pip 26.3 and uv 0.13.9.

- A held pin that is not listed: pip says which versions there are, uv that there is no such version; neither why.
- A held range: the same, for nothing above the newest free version is listed.
- A lock that names a held file by its URL: pip prints the URL that explains itself, uv the server's own words.
- An announced pin: pip prints the URL that explains itself, uv the server's words; a range passes over it in silence.
"""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.commands import pip, uv
from tests.support.koschey_up import Koschey, wait_until
from tests.support.releases import announce, end_of_window
from tests.support.upstream.server import Upstream, UpstreamFile


def said(client: str, koschey: Koschey, target: Path, *requirements: str) -> str:
    """What a client prints as it fails to install something."""
    arguments = ("install", "--target", str(target), "--index-url", koschey.index_url, *requirements)
    with pytest.raises(subprocess.CalledProcessError) as failure:
        pip(*arguments) if client == "pip" else uv("pip", *arguments)
    assert not list(target.glob("*.dist-info"))
    return " ".join(f"{failure.value.stdout} {failure.value.stderr}".split())


@pytest.fixture
def told(koschey: Koschey, upstream: Upstream) -> UpstreamFile:
    """A held release beside a free one, which is not listed."""
    return _project(koschey, upstream, "t-silent")


@pytest.fixture
def announced(koschey: Koschey, upstream: Upstream) -> UpstreamFile:
    """A held release beside a free one, which is announced."""
    file = _project(koschey, upstream, "t-told")
    if file.filename not in koschey.filenames("t-told"):
        announce(koschey, "t-told")
        wait_until(lambda: file.filename in koschey.filenames("t-told"))
    return file


def _project(koschey: Koschey, upstream: Upstream, name: str) -> UpstreamFile:
    upstream.add(name, "1.0")
    filename = f"{name.replace('-', '_')}-2.0-py3-none-any.whl"
    try:
        file = upstream.file(filename)
    except KeyError:
        file = upstream.add(name, "2.0", upload_time=datetime.now(UTC) - timedelta(hours=1))
    koschey.page(name)
    wait_until(lambda: koschey.is_stored(filename))
    return file


def test_held_pin_and_range_in_pip(koschey: Koschey, told: UpstreamFile, tmp_path: Path) -> None:
    """pip names the versions that there are."""
    for requirement in ("t-silent==2.0", "t-silent>=2"):
        text = said("pip", koschey, tmp_path, requirement)
        assert f"Could not find a version that satisfies the requirement {requirement} (from versions: 1.0)" in text


def test_held_pin_and_range_in_uv(koschey: Koschey, told: UpstreamFile, tmp_path: Path) -> None:
    """uv says that there is no such version."""
    assert "there is no version of t-silent==2.0" in said("uv", koschey, tmp_path, "t-silent==2.0")
    assert "only t-silent==1.0 is available" in said("uv", koschey, tmp_path, "t-silent>=2")


def test_blocked_project(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """pip finds no version at all, and uv says that none was found: neither passes the reason on."""
    upstream.add("tx-blocked", "1.0")
    koschey.page("tx-blocked")
    koschey.run("block", "tx-blocked", "--yes", "--reason", "malware")
    wait_until(lambda: koschey.filenames("tx-blocked") == [])
    assert "(from versions: none)" in said("pip", koschey, tmp_path, "tx-blocked")
    assert "there are no versions of tx-blocked" in said("uv", koschey, tmp_path, "tx-blocked")


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_held_file_by_its_url(koschey: Koschey, told: UpstreamFile, tmp_path: Path, client: str) -> None:
    """A lock that names the file itself: the URL says until when in pip, the server's words do in uv."""
    text = said(client, koschey, tmp_path, f"t-silent @ {koschey.url}{told.path}")
    _explains(client, text, told)


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_announced_pin(koschey: Koschey, announced: UpstreamFile, tmp_path: Path, client: str) -> None:
    """An announced pin fails with the reason; a range takes the free release."""
    text = said(client, koschey, tmp_path, "t-told==2.0")
    _explains(client, text, announced)
    free = tmp_path / "free"
    arguments = ("install", "--target", str(free), "--index-url", koschey.index_url, "t-told")
    pip(*arguments) if client == "pip" else uv("pip", *arguments)
    assert [path.name for path in free.glob("*.dist-info")] == ["t_told-1.0.dist-info"]


def test_announced_range_in_uv(koschey: Koschey, announced: UpstreamFile, tmp_path: Path) -> None:
    """uv prints the whole reason where only an announced release would do; pip says that it is yanked."""
    text = said("uv", koschey, tmp_path, "t-told>=2")
    assert f"Koschey: held until {end_of_window(announced)}: in quarantine; ask: koschey request t-told==2.0" in text
    assert "Ignored the following yanked versions: 2.0" in said("pip", koschey, tmp_path, "t-told>=2")


def test_page_that_cannot_be_trusted(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """An upstream's page that is none is asked for once, and uv prints why; pip passes over every page that fails."""
    upstream.add("t-broken", "1.0")
    upstream.fault("/simple/t-broken/", body=b"hello", content_type="text/plain")
    for client in ("pip", "uv"):
        upstream.forget_requests()
        text = said(client, koschey, tmp_path, "t-broken")
        assert upstream.count("/simple/t-broken/") == 1
        assert client == "pip" or "Server message: The upstream cannot be trusted" in text
        assert client == "pip" or "not an index page" in text


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_file_that_cannot_be_trusted(koschey: Koschey, upstream: Upstream, tmp_path: Path, client: str) -> None:
    """Other bytes than the page promised: the client asks once and names the file, and not a number of retries."""
    name = f"t-liar-{client}"
    file = upstream.add(name, "1.0", core_metadata=False)
    koschey.page(name)
    upstream.fault(file.filename, body=b"y" * file.size)
    upstream.forget_requests()
    text = said(client, koschey, tmp_path, f"{name} @ {koschey.url}{file.path}")
    assert "424" in text
    assert file.filename in text
    assert "too many" not in text
    assert "retries" not in text
    upstream.clear_faults()


def _explains(client: str, text: str, file: UpstreamFile) -> None:
    if client == "pip":
        url = (
            f"/held/{file.project}-2.0/quarantine-until-{end_of_window(file)}/ask-with-koschey-request/{file.filename}"
        )
        assert "403 Client Error: Forbidden for url: " in text
        assert url in text
    else:
        assert (
            f"Server message: {file.project} 2.0 is held, {file.filename} is held until {end_of_window(file)}" in text
        )
        assert f"koschey request {file.project}==2.0 --reason WHY" in text
