"""Reads the `*.dist-info` folders of an environment, and adds a `provenance_url.json` (PEP 710)."""

import base64
import csv
import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path

from packaging.tags import Tag, parse_tag
from packaging.utils import NormalizedName

from koschey.errors import UsageError
from koschey.model import Sha256
from koschey.standards.names import parse_name, parse_version

PROVENANCE = "provenance_url.json"
DIRECT = "direct_url.json"
"""PEP 610: a distribution that was installed from a URL, a folder or a repository has this file."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution."""

    folder: Path
    """Its `*.dist-info`."""
    project: NormalizedName
    version: str
    metadata: Sha256
    """Digest of METADATA, which installers copy from the wheel unchanged."""
    tags: frozenset[Tag]
    build: str
    """The wheel's build number, or the empty string."""

    @property
    def is_direct(self) -> bool:
        """Whether it was installed from elsewhere than an index."""
        return (self.folder / DIRECT).exists()

    def write_provenance(self, record: bytes) -> None:
        """Put the record into the folder and into RECORD, so that it is removed together with the distribution.

        PEP 710: it "MUST NOT" be present beside `direct_url.json`. Raises `UsageError` if the distribution cannot have
        a record.
        """
        if self.is_direct:
            raise UsageError(f"{self.folder.name} has a {DIRECT}")
        listing = self.folder / "RECORD"
        if not listing.is_file():
            raise UsageError(
                f"{self.folder.name} has no RECORD, so no installer would remove the file with the distribution"
            )
        _replace(self.folder / PROVENANCE, record)
        _replace(listing, _add_row(listing.read_text("utf-8"), f"{self.folder.name}/{PROVENANCE}", record).encode())


def read_environment(site_packages: Path) -> tuple[list[Distribution], dict[str, str]]:
    """Return the distributions in a folder, and for each unreadable one the reason.

    Raises `UsageError` if it is no folder, or contains nothing that an installer wrote.
    """
    folders = sorted(site_packages.glob("*.dist-info")) if site_packages.is_dir() else []
    if not folders:
        raise UsageError(f"{site_packages} contains no *.dist-info; name the site-packages folder of an environment")
    found, unreadable = [], {}
    for folder in folders:
        try:
            found.append(_read(folder))
        except (OSError, UsageError) as error:
            unreadable[folder.name] = str(error)
    return found, unreadable


def _read(folder: Path) -> Distribution:
    metadata = (folder / "METADATA").read_bytes()
    core, wheel = _headers(metadata), _headers((folder / "WHEEL").read_bytes())
    return Distribution(
        folder,
        parse_name(str(core.get("Name", "")).strip()),
        parse_version(str(core.get("Version", "")).strip()),
        Sha256(hashlib.sha256(metadata).hexdigest()),
        frozenset(tag for line in wheel.get_all("Tag", []) for tag in _parse_tag(line)),
        str(wheel.get("Build", "")).strip(),
    )


def _headers(body: bytes) -> Message:
    return BytesHeaderParser().parsebytes(body)


def _parse_tag(line: str) -> frozenset[Tag]:
    try:
        return parse_tag(line.strip())
    except ValueError:
        raise UsageError(f"its WHEEL file has {line!r} as a tag, which is not valid") from None


def _add_row(listing: str, path: str, content: bytes) -> str:
    """Return RECORD with one row for this file."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    rows = [row for row in csv.reader(io.StringIO(listing, newline="")) if row and row[0] != path]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([*rows, [path, f"sha256={digest}", str(len(content))]])
    return out.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Replace a file atomically. It keeps its mode; a new file has the mode of METADATA beside it."""
    mode = (path if path.exists() else path.parent / "METADATA").stat().st_mode & 0o777
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".koschey-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
