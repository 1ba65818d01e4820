"""Wheels as they really are: every distribution of this environment, packed again, passes."""

import csv
import io
import zipfile
from importlib.metadata import Distribution, distributions

import pytest
from inspecting import inspect_bytes, inspect_here
from packaging.utils import canonicalize_name

ADDED = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
"""What installers add to `.dist-info`; RECORD they write anew."""
LEAST = 100


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


def _installed() -> dict[str, Distribution]:
    """All but what is installed from a folder that is still being written: those have a path, and no files."""
    return {
        found.name: found
        for found in distributions()
        if found.read_text("WHEEL") and "editable" not in (found.read_text("direct_url.json") or "")
    }


INSTALLED = _installed()


@pytest.mark.parametrize("name", sorted(INSTALLED))
def test_installed_distribution_passes(name: str) -> None:
    """No honest wheel is refused."""
    filename, content = packed(INSTALLED[name])
    answer = inspect_here(filename, content)
    assert answer["project"] == canonicalize_name(name)
    assert answer["version"] == INSTALLED[name].version


async def test_installed_distribution_passes_in_the_child() -> None:
    """The child comes to the same, and there are enough of them to mean something."""
    filename, content = packed(INSTALLED["hypothesis"])
    found = await inspect_bytes(filename, content)
    assert found.metadata.decode() == INSTALLED["hypothesis"].read_text("METADATA")
    assert len(INSTALLED) >= LEAST
