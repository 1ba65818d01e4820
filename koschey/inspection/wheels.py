"""The rules for wheels (PEP 427): each looks at the archive's directory and raises `Refused`."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from koschey.errors import Refused
from koschey.inspection.limits import MAX_METADATA, is_bomb

DIST_INFO = ".dist-info"
REQUIRED = ("METADATA", "WHEEL", "RECORD")
INSTALLABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Wheel:
    """An opened wheel."""

    filename: str
    size: int
    members: tuple[zipfile.ZipInfo, ...]

    @property
    def dist_info(self) -> str:
        """The one folder that describes the distribution, without a slash."""
        tops = {member.filename.partition("/")[0] for member in self.members if "/" in member.filename}
        found = sorted(top for top in tops if top.endswith(DIST_INFO))
        if len(found) != 1:
            raise Refused(f"A wheel has exactly one folder '*{DIST_INFO}'; {self.filename} has {len(found)}.")
        return found[0]


def read_wheel(file: BinaryIO, filename: str, size: int) -> bytes:
    """Return the METADATA of a wheel that breaks no rule."""
    with zipfile.ZipFile(file) as archive:
        wheel = Wheel(filename, size, tuple(archive.infolist()))
        for rule in RULES:
            rule(wheel)
        with archive.open(f"{wheel.dist_info}/METADATA") as member:
            body = member.read(MAX_METADATA + 1)
    if len(body) > MAX_METADATA:
        raise Refused(f"METADATA in {filename} is larger than {MAX_METADATA} bytes.")
    return body


def _is_no_bomb(wheel: Wheel) -> None:
    inflated = sum(member.file_size for member in wheel.members)
    if is_bomb(inflated, wheel.size):
        raise Refused(f"{wheel.filename} inflates from {wheel.size} to {inflated} bytes; that is a zip bomb.")


def _is_installable(wheel: Wheel) -> None:
    for member in wheel.members:
        if member.compress_type not in INSTALLABLE or member.flag_bits & ENCRYPTED:
            raise Refused(f"{member.filename!a} in {wheel.filename} is encrypted, or not compressed by deflate.")


def _is_named_as_its_file(wheel: Wheel) -> None:
    project, version, _, _ = parse_wheel_filename(wheel.filename)
    name, _, stated = wheel.dist_info.removesuffix(DIST_INFO).rpartition("-")
    try:
        same = canonicalize_name(name) == project and Version(stated) == version
    except InvalidVersion:
        same = False
    if not same:
        raise Refused(f"{wheel.filename} holds {wheel.dist_info!a}, which is of another release.")


def _is_complete(wheel: Wheel) -> None:
    names = [member.filename for member in wheel.members]
    for name in REQUIRED:
        count = names.count(f"{wheel.dist_info}/{name}")
        if count != 1:
            raise Refused(f"{wheel.filename} has {count or 'no'} '{wheel.dist_info}/{name}'; it needs exactly one.")


RULES: tuple[Callable[[Wheel], None], ...] = (_is_no_bomb, _is_installable, _is_named_as_its_file, _is_complete)
"""In the order in which they are tried; add one here."""
