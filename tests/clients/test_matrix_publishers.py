"""Every supported publisher: what it publishes is served, the same again is no error, other bytes are refused."""

import subprocess
from pathlib import Path

import pytest

from tests.clients.install import Client
from tests.clients.publishers import make, publish
from tests.clients.venvs import name_of, versions
from tests.support.koschey_up import Koschey, ask

PUBLISHERS = versions("twine", "uv", "poetry", "pdm", "hatch", "flit")
SKIPS = ("hatch",)
"""Those that look before they publish, and pass over what is there."""
SILENT = ("pdm-2.29.4", "flit-3.12.0")
"""Those that show the reason phrase and no body; ASGI has no reason phrase."""

pytestmark = pytest.mark.matrix
every_publisher = pytest.mark.parametrize("client", PUBLISHERS, ids=name_of)


@every_publisher
def test_publishes(koschey: Koschey, tmp_path: Path, client: Client) -> None:
    """A wheel and an sdist are served as they were made; the same again changes nothing, other bytes are refused."""
    name = f"m-by-{client.id.replace('.', '-')}"
    make(tmp_path / "first", client, name)
    publish(client, tmp_path / "first", koschey)
    made = {path.name: path.read_bytes() for path in (tmp_path / "first" / "dist").iterdir()}
    page = koschey.page(name)
    assert {file["filename"] for file in page["files"]} == set(made)
    assert len(made) == 2

    publish(client, tmp_path / "first", koschey)
    assert koschey.page(name)["meta"] == page["meta"]

    make(tmp_path / "second", client, name, changed=True)
    if client.name in SKIPS:
        assert "already exists" in publish(client, tmp_path / "second", koschey)
    else:
        with pytest.raises(subprocess.CalledProcessError) as failure:
            publish(client, tmp_path / "second", koschey)
        said = " ".join((failure.value.stdout + failure.value.stderr).split())
        assert ("400" if client.id in SILENT else "File already exists") in said
    assert {file["filename"]: ask(koschey.url + file["url"]).body for file in koschey.page(name)["files"]} == made


@every_publisher
def test_stranger_is_refused(koschey: Koschey, tmp_path: Path, client: Client) -> None:
    """A token that is not known is refused with 403, and nothing is kept."""
    name = f"m-stranger-{client.id.replace('.', '-')}"
    make(tmp_path, client, name)
    token = "kos_" + "a" * 12 + "_" + "b" * 43
    with pytest.raises(subprocess.CalledProcessError) as failure:
        publish(client, tmp_path, koschey, token=token)
    assert "403" in failure.value.stdout + failure.value.stderr
    assert koschey.fetch_value("SELECT count(*) FROM project WHERE name = $1", name) == 0
