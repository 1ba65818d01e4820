"""Wheels as they really are: every distribution of this environment and the clients', packed again, passes."""

import csv
import io
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions

import pytest
from packaging.utils import canonicalize_name

from koschey.errors import Refused
from tests.clients.install import CLIENTS
from tests.clients.venvs import packages_of, runs_here
from tests.support.inspection import inspect_bytes, inspect_here

ADDED = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
"""What installers add to `.dist-info`; RECORD they write anew."""
LEAST = 100
LEAST_WITH_CLIENTS = 200


def packed(distribution: Distribution) -> tuple[str, bytes]:
    """The filename and bytes of the wheel that a distribution was installed from, as a build tool would pack it."""
    record = next(
        path for path in distribution.files or () if path.name == "RECORD" and path.parent.name.endswith("-info")
    )
    rows, buffer = [], io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for row in csv.reader(record.read_text().splitlines()):
            # Scripts are written for the environment, and compiled on arrival; neither was in the wheel.
            if ".." in row[0] or row[0].startswith("/") or "__pycache__" in row[0] or row[0].endswith(tuple(ADDED)):
                continue
            rows.append(row)
            if row[0] != str(record):
                archive.write(str(distribution.locate_file(row[0])), row[0])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        archive.writestr(str(record), text.getvalue())
    name = canonicalize_name(distribution.name).replace("-", "_")
    return f"{name}-{distribution.version}-{_tag(distribution)}.whl", buffer.getvalue()


def _tag(distribution: Distribution) -> str:
    lines = (distribution.read_text("WHEEL") or "").splitlines()
    return next(line.removeprefix("Tag: ") for line in lines if line.startswith("Tag: "))


def _installed(*folders: str) -> list[Distribution]:
    """All but what is installed from a folder that is still being written: those have a path, and no files."""
    return [
        found
        for found in distributions(path=list(folders))
        if found.read_text("WHEEL") and "editable" not in (found.read_text("direct_url.json") or "")
    ]


INSTALLED = {found.name: found for found in _installed(*sys.path)}


def check(distribution: Distribution) -> tuple[str, str]:
    """Pack and inspect it, and return its name and version. Raises `Refused`."""
    filename, content = packed(distribution)
    answer = inspect_here(filename, content)
    pair = canonicalize_name(distribution.name), distribution.version
    assert (answer["project"], answer["version"]) == pair
    return pair


def checked(found: Iterable[Distribution]) -> tuple[set[tuple[str, str]], list[str]]:
    """What passes, and why the rest is refused; the same release is looked at once."""
    passed, refused = set(), []
    for distribution in {(item.name, item.version): item for item in found}.values():
        try:
            passed.add(check(distribution))
        except Refused as error:
            refused.append(f"{distribution.name} {distribution.version}: {error}")
    return passed, refused


@pytest.mark.parametrize("name", sorted(INSTALLED))
def test_installed_distribution_passes(name: str) -> None:
    """No honest wheel is refused."""
    check(INSTALLED[name])


@pytest.mark.matrix
def test_distributions_of_the_clients_pass() -> None:
    """Nor is one of all that the clients of the matrix are made of; with ours they are two hundred and more."""
    clients = [client for client in CLIENTS if runs_here(client)]
    passed, refused = checked(_installed(*sys.path, *map(packages_of, clients)))
    assert refused == []
    assert len(passed) >= LEAST_WITH_CLIENTS


async def test_installed_distribution_passes_in_the_child() -> None:
    """The child comes to the same, and there are enough of them to mean something."""
    filename, content = packed(INSTALLED["hypothesis"])
    found = await inspect_bytes(filename, content)
    assert found.metadata.decode() == INSTALLED["hypothesis"].read_text("METADATA")
    assert len(INSTALLED) >= LEAST
