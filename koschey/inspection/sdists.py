"""The rules for sdists (PEP 517, 625): the tar is read once, as a stream, and nothing is ever extracted."""

import gzip
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from koschey.errors import Refused
from koschey.inspection.limits import MAX_METADATA, is_bomb

CHUNK = 2**16


@dataclass(slots=True)
class Sdist:
    """What is known of an sdist while its members pass."""

    filename: str
    root: str | None = None
    found: list[str] = field(default_factory=list)
    """Names under which PKG-INFO of the root was met."""


class Inflated:
    """The inflated bytes, counted; ends with `Refused` where an honest archive would have ended before."""

    def __init__(self, file: BinaryIO, filename: str, size: int) -> None:
        self._gzip = gzip.GzipFile(fileobj=file)
        self._filename = filename
        self._size = size
        self._count = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes."""
        chunk = self._gzip.read(size)
        self._count += len(chunk)
        if is_bomb(self._count, self._size):
            raise Refused(f"{self._filename} inflates from {self._size} to more than {self._count} bytes; a tar bomb.")
        return chunk


def read_sdist(file: BinaryIO, filename: str, size: int) -> bytes:
    """Return the PKG-INFO of an sdist that breaks no rule."""
    inflated, sdist, body = Inflated(file, filename, size), Sdist(filename), b""
    # `r|` only ever calls `read`, a buffer at a time, so that every byte passes the counter.
    with tarfile.open(fileobj=cast(BinaryIO, inflated), mode="r|", bufsize=CHUNK) as archive:
        for member in archive:
            for rule in RULES:
                rule(sdist, member)
            if member.name == f"{sdist.root}/PKG-INFO":
                body = _read_metadata(archive, member, filename)
            # tarfile would keep a description of every member.
            archive.members.clear()  # type: ignore[attr-defined]
    while inflated.read(CHUNK):
        pass  # the checksum of the whole stands at its end
    if not sdist.found:
        raise Refused(f"{filename} has no '{sdist.root or filename.removesuffix('.tar.gz')}/PKG-INFO'.")
    return body


def _read_metadata(archive: tarfile.TarFile, member: tarfile.TarInfo, filename: str) -> bytes:
    source = archive.extractfile(member) if member.isreg() else None
    if source is None or member.size > MAX_METADATA:
        raise Refused(f"PKG-INFO in {filename} is no plain file, or is larger than {MAX_METADATA} bytes.")
    return source.read(MAX_METADATA)


def _has_plain_name(sdist: Sdist, member: tarfile.TarInfo) -> None:
    parts = member.name.split("/")
    if member.name.startswith("/") or ".." in parts or "\\" in member.name or not member.name.isprintable():
        raise Refused(f"{sdist.filename} has a member {member.name!a}, which leads out of its folder.")


def _is_below_one_root(sdist: Sdist, member: tarfile.TarInfo) -> None:
    root = member.name.partition("/")[0]
    sdist.root = sdist.root or root
    if root != sdist.root:
        raise Refused(f"An sdist has one folder at its top; {sdist.filename} has {sdist.root!a} and {root!a}.")


def _is_not_sparse(sdist: Sdist, member: tarfile.TarInfo) -> None:
    if member.issparse():
        raise Refused(f"{sdist.filename} has a sparse member {member.name!a}; such files are not portable.")


def _has_one_metadata(sdist: Sdist, member: tarfile.TarInfo) -> None:
    if member.name == f"{sdist.root}/PKG-INFO":
        sdist.found.append(member.name)
        if len(sdist.found) > 1:
            raise Refused(f"{sdist.filename} has {member.name!a} twice.")


RULES: tuple[Callable[[Sdist, tarfile.TarInfo], None], ...] = (
    _has_plain_name,
    _is_below_one_root,
    _is_not_sparse,
    _has_one_metadata,
)
"""Each sees every member, in this order; add one here."""
