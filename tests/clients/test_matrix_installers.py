"""Every supported pip and uv: whatever an installer does, each version does it through the index."""

import subprocess
from pathlib import Path

import pytest

from tests.clients.install import Client
from tests.clients.installers import has_cutoff, install, installed
from tests.clients.matrix_index import CUTOFF
from tests.clients.venvs import name_of, versions
from tests.support.koschey_up import Koschey
from tests.support.upstream.server import Upstream

INSTALLERS = versions("pip", "uv")
WITH_CUTOFF = [client for client in INSTALLERS if has_cutoff(client)]

pytestmark = pytest.mark.matrix
every_installer = pytest.mark.parametrize("client", INSTALLERS, ids=name_of)


@every_installer
def test_resolves_and_installs(shelf: Koschey, tmp_path: Path, client: Client) -> None:
    """A wheel with metadata beside it, one without, and an sdist that is built are found from one requirement."""
    found = install(client, tmp_path / "a", "m-app", index=shelf.index_url)
    assert found == {"m_app-1.0", "m_with_metadata-1.0", "m_without_metadata-1.0", "m_source-1.0"}


@every_installer
def test_yanked_release_needs_a_pin(shelf: Koschey, tmp_path: Path, client: Client) -> None:
    """A yanked release is passed over, and installed where it is pinned."""
    assert install(client, tmp_path / "a", "m-yanked", index=shelf.index_url) == {"m_yanked-1.0"}
    assert install(client, tmp_path / "b", "m-yanked==1.1", index=shelf.index_url) == {"m_yanked-1.1"}


@every_installer
def test_hosted_name_hides_the_upstreams(shelf: Koschey, tmp_path: Path, client: Client) -> None:
    """Of a name that is hosted here and public elsewhere, only the hosted releases are found."""
    assert install(client, tmp_path / "a", "m-clash", index=shelf.index_url) == {"m_clash-1.0"}
    with pytest.raises(subprocess.CalledProcessError):
        install(client, tmp_path / "b", "m-clash>1", index=shelf.index_url)


@every_installer
def test_blocked_name_with_a_second_index(shelf: Koschey, upstream: Upstream, tmp_path: Path, client: Client) -> None:
    """A blocked project is not found; uv then asks no other index, while pip cannot be kept from a second one."""
    with pytest.raises(subprocess.CalledProcessError):
        install(client, tmp_path / "a", "m-malware", index=shelf.index_url)
    assert installed(tmp_path / "a") == set()
    if client.name == "pip":
        found = install(client, tmp_path / "b", "m-malware", index=shelf.index_url, second_index=upstream.url)
        assert found == {"m_malware-1.0"}
        return
    # uv takes an `--extra-index-url` first; so the other index is the one that is asked second.
    with pytest.raises(subprocess.CalledProcessError):
        install(client, tmp_path / "b", "m-malware", index=upstream.url, second_index=shelf.index_url)
    assert installed(tmp_path / "b") == set()


@every_installer
def test_hash_locked_install(shelf: Koschey, upstream: Upstream, tmp_path: Path, client: Client) -> None:
    """What a lock pins by hash is installed, and another hash is refused."""
    file = upstream.file("m_with_metadata-1.0-py3-none-any.whl")
    locked = tmp_path / "locked.txt"
    locked.write_text(f"m-with-metadata==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(subprocess.CalledProcessError):
        install(client, tmp_path / "a", index=shelf.index_url, locked=locked)
    locked.write_text(f"m-with-metadata==1.0 --hash=sha256:{file.sha256}\n")
    assert install(client, tmp_path / "a", index=shelf.index_url, locked=locked) == {"m_with_metadata-1.0"}


@pytest.mark.parametrize("client", WITH_CUTOFF, ids=name_of)
def test_cool_down_is_the_same_as_directly(shelf: Koschey, upstream: Upstream, tmp_path: Path, client: Client) -> None:
    """The client's own cool-down finds through Koschey what it finds at the upstream."""
    through = install(client, tmp_path / "a", "m-dated", index=shelf.index_url, cutoff=CUTOFF)
    directly = install(client, tmp_path / "b", "m-dated", index=upstream.url, cutoff=CUTOFF)
    assert through == directly == {"m_dated-1.0"}
    assert install(client, tmp_path / "c", "m-dated", index=shelf.index_url) == {"m_dated-2.0"}
