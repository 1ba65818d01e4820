"""What every supported pip, uv, poetry and PDM prints for what is held or blocked.

Read off pip 22.2 to 26.3, uv 0.5 to 0.13, poetry 1.8 and 2.5, and PDM 2.29. Where a pin is announced, pip, poetry and
PDM print the URL that explains itself, uv 0.12 and 0.13 the server's own words, and uv 0.5 only the status. Nobody
tells why a release is not listed.
"""

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.clients.install import Client
from tests.clients.installers import install
from tests.clients.projects import installed, sync
from tests.clients.test_texts import announced, told
from tests.clients.venvs import name_of, versions
from tests.support.koschey_up import Koschey, wait_until
from tests.support.releases import end_of_window
from tests.support.upstream.server import Upstream, UpstreamFile

__all__ = ["announced", "told"]

MANAGERS = versions("poetry", "pdm")
NOT_LISTED = {
    "poetry": "which doesn't match any versions, version solving failed",
    "pdm": "Unable to find a resolution",
}

pytestmark = pytest.mark.matrix
every_manager = pytest.mark.parametrize("client", MANAGERS, ids=name_of)


def failed(client: Client, koschey: Koschey, folder: Path, name: str, version: str) -> str:
    """What a client prints as it fails to get a release."""
    attempt: Callable[[], object]
    if client.name in ("pip", "uv"):
        attempt = partial(install, client, folder, name + version, index=koschey.index_url)
    else:
        attempt = partial(sync, client, folder, koschey.index_url, {name: version})
    with pytest.raises(subprocess.CalledProcessError) as failure:
        attempt()
    assert installed(folder) == set()
    assert not list(folder.glob("*.dist-info"))
    return " ".join(f"{failure.value.stdout} {failure.value.stderr}".split())


@every_manager
@pytest.mark.parametrize("version", ["==2.0", ">=2"])
def test_held(koschey: Koschey, told: UpstreamFile, tmp_path: Path, client: Client, version: str) -> None:
    """A held release that is not listed does not exist, for a pin and for a range."""
    assert NOT_LISTED[client.name] in failed(client, koschey, tmp_path / "app", "t-silent", version)


@every_manager
def test_blocked(koschey: Koschey, upstream: Upstream, tmp_path: Path, client: Client) -> None:
    """A blocked project has no version; nobody passes the reason of its page on."""
    upstream.add("t-blocked-m", "1.0")
    koschey.page("t-blocked-m")
    koschey.run("block", "t-blocked-m", "--yes", "--reason", "malware")
    wait_until(lambda: koschey.filenames("t-blocked-m") == [])
    assert "malware" not in failed(client, koschey, tmp_path / "app", "t-blocked-m", "==1.0")


@every_manager
def test_announced_range(koschey: Koschey, announced: UpstreamFile, tmp_path: Path, client: Client) -> None:
    """A range passes over an announced release in silence, and there is none where only that would do."""
    sync(client, tmp_path / "free", koschey.index_url, {"t-told": "*"})
    assert installed(tmp_path / "free") == {"t_told-1.0"}
    assert NOT_LISTED[client.name] in failed(client, koschey, tmp_path / "app", "t-told", ">=2")


@pytest.mark.parametrize("client", versions("pip", "poetry", "pdm"), ids=name_of)
def test_announced_pin(koschey: Koschey, announced: UpstreamFile, tmp_path: Path, client: Client) -> None:
    """An announced pin is told by the URL that explains itself."""
    text = failed(client, koschey, tmp_path / "app", "t-told", "==2.0")
    assert f"/held/t-told-2.0/quarantine-until-{end_of_window(announced)}/ask-with-koschey-request/" in text


@pytest.mark.parametrize("client", versions("uv"), ids=name_of)
def test_announced_pin_in_uv(koschey: Koschey, announced: UpstreamFile, tmp_path: Path, client: Client) -> None:
    """uv says 403, and since it reads RFC 9457 the server's words."""
    text = failed(client, koschey, tmp_path / "app", "t-told", "==2.0")
    assert "403 Forbidden" in text
    if not client.version.startswith("0.5."):
        assert (
            f"Server message: t-told 2.0 is held, {announced.filename} is held until {end_of_window(announced)}" in text
        )
