"""`koschey provenance`: from which files an environment was installed, and where those came from."""

import base64
import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.support import archives
from tests.support.commands import pip, twine, uv
from tests.support.koschey_up import Koschey
from tests.support.temporal_cli import program
from tests.support.upstream.server import Upstream, UpstreamFile

RECORD = "provenance_url.json"


def provenance(koschey: Koschey, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command as a user who has no settings of Koschey."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KOSCHEY_")}
    done = subprocess.run(
        [sys.executable, "-m", "koschey", "provenance", *arguments, "--index", koschey.index_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment | {"COLUMNS": "300"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def origins(koschey: Koschey, target: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What the command says of each project."""
    done = provenance(koschey, str(target), "--json", *arguments, code=code)
    return {origin["project"]: origin for origin in json.loads(done.stdout)}


def install(koschey: Koschey, target: Path, *requirements: str) -> Path:
    """Install with pip, and return the folder."""
    pip("install", "--no-deps", "--target", str(target), "--index-url", koschey.index_url, *requirements)
    return target


def record_of(file: UpstreamFile) -> dict[str, Any]:
    """The PEP 710 record that a file must have."""
    return {"url": file.url, "archive_info": {"hashes": {"sha256": file.sha256}}}


def listed_in_record(folder: Path) -> dict[str, tuple[str, str]]:
    """The rows of an installed RECORD by their paths."""
    with (folder / "RECORD").open(newline="") as file:
        return {path: (digest, size) for path, digest, size in csv.reader(file)}


@pytest.mark.parametrize("client", [pip, uv])
def test_installed_files_are_mapped_and_recorded(
    koschey: Koschey, upstream: Upstream, tmp_path: Path, client: Any
) -> None:
    """What pip or uv installed is mapped to its wheel, and PEP 710's file is written as an installer would."""
    file = upstream.add("e-mapped", "1.0", requires=["six>=1"])
    upstream.add("e-mapped", "1.0", filename="e_mapped-1.0-py3-none-win32.whl")
    other = upstream.add("e-mapped-too", "2.0")
    command = ("install", "--no-deps", "--target", str(tmp_path), "--index-url", koschey.index_url)
    client(*(("pip",) if client is uv else ()), *command, "e-mapped", "e-mapped-too")
    found = origins(koschey, tmp_path, "--write")
    assert {name: (origin["origin"], origin["url"], origin["sha256"]) for name, origin in found.items()} == {
        "e-mapped": ("mirrored", file.url, file.sha256),
        "e-mapped-too": ("mirrored", other.url, other.sha256),
    }
    folder = tmp_path / "e_mapped-1.0.dist-info"
    written = (folder / RECORD).read_bytes()
    assert json.loads(written) == record_of(file) == found["e-mapped"]["record"]
    assert (folder / RECORD).stat().st_mode == (folder / "METADATA").stat().st_mode
    digest = base64.urlsafe_b64encode(hashlib.sha256(written).digest()).rstrip(b"=").decode()
    rows = listed_in_record(folder)
    assert rows[f"{folder.name}/{RECORD}"] == (f"sha256={digest}", str(len(written)))
    assert not list(folder.glob(".koschey-*"))
    origins(koschey, tmp_path, "--write")
    assert listed_in_record(folder) == rows
    assert [row for row in (folder / "RECORD").read_text().splitlines() if RECORD in row] == [
        f"{folder.name}/{RECORD},sha256={digest},{len(written)}"
    ]


def test_uninstalling_takes_the_record_along(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """An installer that uninstalls the distribution removes the file that was added to it."""
    upstream.add("e-gone", "1.0")
    uv("venv", str(tmp_path / "v"))
    python = str(tmp_path / "v/bin/python")
    subprocess.run(
        [program("uv"), "pip", "install", "--no-cache", "--python", python, "--index-url", koschey.index_url, "e-gone"],
        check=True,
        capture_output=True,
    )
    [folder] = (tmp_path / "v").rglob("e_gone-1.0.dist-info")
    provenance(koschey, str(folder.parent), "--write")
    assert (folder / RECORD).exists()
    subprocess.run([program("uv"), "pip", "uninstall", "--python", python, "e-gone"], check=True, capture_output=True)
    assert not folder.exists()


def test_nothing_is_written_unasked(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """Without `--write` the environment stays as it is, and the table says all there is to say."""
    file = upstream.add("e-table", "1.0")
    install(koschey, tmp_path, "e-table")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = provenance(koschey, str(tmp_path))
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "e-table" in done.stdout
    assert "mirrored" in done.stdout
    assert file.url in done.stdout


def test_private_files_map_to_the_index(koschey: Koschey, tmp_path: Path) -> None:
    """A hosted file has no record: it is called private, nothing is written, and the SBOM names this index."""
    name, content = archives.wheel("e-private", "1.0")
    (tmp_path / name).write_bytes(content)
    twine(
        *("upload", "--non-interactive", "--repository-url", f"{koschey.url}/legacy/", "-u", "__token__"),
        *("-p", koschey.ready["upload_token"], str(tmp_path / name)),
    )
    target = install(koschey, tmp_path / "t", "e-private")
    sbom = tmp_path / "sbom.json"
    found = origins(koschey, target, "--write", "--sbom", str(sbom))
    [listed] = koschey.page("e-private")["files"]
    expected = {
        "project": "e-private",
        "version": "1.0",
        "origin": "private",
        "url": koschey.url + listed["url"],
        "sha256": hashlib.sha256(content).hexdigest(),
        "record": None,
        "why": None,
    }
    assert found == {"e-private": expected}
    assert not list(target.rglob(RECORD))
    [component] = json.loads(sbom.read_text())["components"]
    assert component["purl"].startswith("pkg:pypi/e-private@1.0?repository_url=")
    assert component["externalReferences"][0]["url"] == expected["url"]


def test_sbom_is_cyclonedx(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """The bill of materials is valid CycloneDX 1.6 with purl, digest and the place that each file came from."""
    file = upstream.add("e-sbom", "1.0")
    upstream.add("e-sbom-lost", "1.0")
    install(koschey, tmp_path, "e-sbom", "e-sbom-lost")
    upstream_name = tmp_path / "e_sbom_lost-1.0.dist-info"
    (upstream_name / "METADATA").write_text("Metadata-Version: 2.1\nName: e-sbom-lost\nVersion: 1.0\nSummary: mine\n")
    text = provenance(koschey, str(tmp_path), "--sbom", "-", code=1).stdout
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    found = {component["name"]: component for component in bom["components"]}
    assert set(found) == {"e-sbom", "e-sbom-lost"}
    assert found["e-sbom"]["purl"] == "pkg:pypi/e-sbom@1.0"
    assert found["e-sbom"]["hashes"] == [{"alg": "SHA-256", "content": file.sha256}]
    assert found["e-sbom"]["externalReferences"][0]["type"] == "distribution"
    assert found["e-sbom"]["externalReferences"][0]["url"] == file.url
    assert "hashes" not in found["e-sbom-lost"]


def test_what_cannot_be_mapped_is_named_with_its_cause(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """Exit code 1 and one line for each distribution that could not be mapped; the others are mapped all the same."""
    names = ["e-fine", "e-changed", "e-retagged", "e-alien", "e-gone-since", "e-broken"]
    for name in names:
        if name != "e-alien":
            upstream.add(name, "1.0")
    install(koschey, tmp_path, *(name for name in names if name != "e-alien"))
    folders = {name: tmp_path / f"{name.replace('-', '_')}-1.0.dist-info" for name in names}
    with (folders["e-changed"] / "METADATA").open("a") as file:
        file.write("\nPatched.\n")
    wheel = folders["e-retagged"] / "WHEEL"
    wheel.write_text(wheel.read_text().replace("py3-none-any", "cp312-cp312-win32"))
    alien = folders["e-alien"]
    alien.mkdir()
    (alien / "METADATA").write_bytes(archives.core_metadata("e-alien", "1.0"))
    (alien / "WHEEL").write_text(archives.WHEEL)
    koschey.run("block", "e-gone-since==1.0", "--reason", "malware")
    (folders["e-broken"] / "WHEEL").unlink()
    done = provenance(koschey, str(tmp_path), "--json", "--write", code=1)
    found = {origin["project"]: origin for origin in json.loads(done.stdout)}
    assert found["e-fine"]["origin"] == "mirrored"
    assert (folders["e-fine"] / RECORD).exists()
    expected = {
        "e-changed": "METADATA is not that of",
        "e-retagged": "has its tags",
        "e-alien": "no project e-alien",
        "e-gone-since": "held or blocked",
        folders["e-broken"].name: "WHEEL",
    }
    assert {name for name, origin in found.items() if origin["origin"] == "unknown"} == set(expected)
    for name, words in expected.items():
        assert words in found[name]["why"], name
        assert f"{name} " in done.stderr
    for name in expected.keys() & folders.keys():
        assert not (folders[name] / RECORD).exists()


def test_direct_installs_say_themselves_where_they_came_from(
    koschey: Koschey, upstream: Upstream, tmp_path: Path
) -> None:
    """PEP 710: no record beside `direct_url.json`; what was installed from a file is no failure either."""
    name, content = archives.wheel("e-direct", "1.0")
    upstream.add("e-direct", "1.0", content=content, filename=name)
    koschey.page("e-direct")
    (tmp_path / name).write_bytes(content)
    target = install(koschey, tmp_path / "t", str(tmp_path / name))
    found = origins(koschey, target, "--write")["e-direct"]
    assert found["origin"] == "direct"
    assert found["url"].startswith("file://")
    assert not list(target.rglob(RECORD))


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_folder_that_is_no_environment(koschey: Koschey, tmp_path: Path, name: str) -> None:
    """A folder without distributions is an error that says what to name."""
    (tmp_path / "empty").mkdir()
    assert "site-packages" in provenance(koschey, str(tmp_path / name), code=1).stderr


def test_index_that_is_no_koschey(upstream: Upstream, koschey: Koschey, tmp_path: Path) -> None:
    """An index that serves no records, or no digests to compare with, maps nothing and is told so."""
    upstream.add("e-other-index", "1.0")
    upstream.add("e-bare-index", "1.0", core_metadata=False)
    install(koschey, tmp_path, "e-other-index", "e-bare-index")
    done = subprocess.run(
        [sys.executable, "-m", "koschey", "provenance", str(tmp_path), "--index", upstream.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "e-other-index 1.0: the index has no record of where" in done.stderr
    assert "e-bare-index 1.0: the index gives no digest of core metadata" in done.stderr


def test_record_about_other_bytes_is_not_believed(koschey: Koschey, upstream: Upstream, tmp_path: Path) -> None:
    """A record whose digest is not the page's is refused, and so is one that is none."""
    file = upstream.add("e-forged", "1.0")
    install(koschey, tmp_path, "e-forged")
    for body, words in (
        (record_of(file) | {"archive_info": {"hashes": {"sha256": "0" * 64}}}, "other bytes"),
        ([], "not one of PEP 710"),
    ):
        upstream.clear_faults()
        upstream.fault(f"{file.filename}.{RECORD}", body=json.dumps(body).encode())
        done = subprocess.run(
            [sys.executable, "-m", "koschey", "provenance", str(tmp_path), "--index", upstream.url, "--write"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert not list(tmp_path.rglob(RECORD))
