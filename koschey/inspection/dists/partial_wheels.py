"""Reads METADATA from pieces of a wheel: its end, its directory, one member.

A wheel's directory is at its end, and build tools write `*.dist-info` last. So one or two small reads are enough,
wherever the wheel is: on disk, in the bucket, or at an upstream that serves ranges. The number and the size of the
reads are bounded, and so is the inflated size of METADATA. The reader of `koschey.inspection.archives.zip` parses the
pieces, in a thread of this process (docs/adr/0101 says why not in a child).
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from koschey.errors import Refused
from koschey.inspection.archives.limits import MAX_METADATA, MIB
from koschey.inspection.archives.rules import ArchiveRule, refusal
from koschey.inspection.archives.zip.content import inflate
from koschey.inspection.archives.zip.framing import ZipEntry, find_directory, read_directory
from koschey.inspection.archives.zip.headers import DESCRIPTOR, HEADER_RULES, read_name
from koschey.inspection.archives.zip.records import END, LOCAL, Header, Source, read_local
from koschey.standards.versions import parse_version_or_none

TAIL = 64 * 2**10
"""Bytes of the first read, from the end: they contain the directory of all but the largest wheels."""
LEAST = 16 * 2**10
"""Minimum number of bytes of each further read."""
MOST = 8 * MIB
"""Maximum number of bytes of a directory, which is parsed in memory."""
READS = 6
SLACK = 1024
"""Extra bytes for a member's own header, which may be longer than the directory says."""
DIST_INFO = ".dist-info"

type Read = Callable[[int, int], Awaitable[bytes]]
"""Returns the bytes from a start up to, but not including, a stop."""


class _Wanted(Exception):
    """Raised for bytes that have not been read yet."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__(start, stop)
        self.start, self.stop = start, stop


class _Pieces(io.RawIOBase):
    """A file of which only pieces have been read; reading another raises `_Wanted`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._position = 0
        self._pieces: list[tuple[int, bytes]] = []

    def add(self, start: int, piece: bytes) -> None:
        self._pieces.append((start, piece))

    def require(self, start: int, stop: int) -> None:
        self._find(start, min(stop, self.size))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET
        self._position = offset
        return offset

    def read(self, size: int = -1, /) -> bytes:
        stop = min(self._position + size, self.size)
        found = self._find(self._position, stop) if stop > self._position else b""
        self._position += len(found)
        return found

    def _find(self, start: int, stop: int) -> bytes:
        for first, piece in self._pieces:
            if first <= start and stop <= first + len(piece):
                return piece[start - first : stop - first]
        raise _Wanted(start, stop)


async def read_wheel_metadata(filename: str, size: int, read: Read, tail: bytes = b"") -> bytes:
    """Return the METADATA of a wheel (PEP 427) of `size` bytes, byte for byte. `tail` is its end, if known.

    Raises `Refused` if METADATA cannot be found, or not within the bounds; errors of `read` are passed on.
    """
    pieces = _Pieces(size)
    if tail:
        pieces.add(size - len(tail), tail)
    wanted = (max(0, size - TAIL), size)
    for _ in range(READS):
        if not tail:
            await _load(pieces, read, *wanted)
        tail = b""
        try:
            return await asyncio.to_thread(_extract, pieces, filename)
        except _Wanted as more:
            wanted = (more.start, max(more.stop, min(more.start + LEAST, size)))
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 - no archive may end the process, whatever it makes the reader raise
            raise Refused(f"{filename} cannot be read as a wheel: {error or type(error).__name__}"[:300]) from None
    raise Refused(f"{filename} is too scattered: METADATA was not found in {READS} reads.")


async def _load(pieces: _Pieces, read: Read, start: int, stop: int) -> None:
    if stop - start > MOST + MAX_METADATA:
        raise Refused(f"The directory of the wheel, or its METADATA, has {stop - start} bytes; that is too much.")
    pieces.add(start, await read(start, stop))


def _extract(pieces: _Pieces, filename: str) -> bytes:
    source = Source(cast("BinaryIO", pieces), filename, pieces.size)
    if source.size < END.size:
        raise refusal(ArchiveRule.ZIP_LAYOUT, filename, "does not begin as a ZIP file does")
    member = _find_metadata(read_directory(source, find_directory(source)), filename)
    if member.inflated > MAX_METADATA:
        raise Refused(f"METADATA in {filename} is larger than {MAX_METADATA} bytes.")
    length = LOCAL.size + len(member.raw_name) + SLACK + member.stored
    pieces.require(member.offset, member.offset + length)
    return b"".join(inflate(source, _check_member(source, member)))


def _find_metadata(members: Sequence[Header], filename: str) -> Header:
    """Return the directory's entry for the one METADATA of the release that the filename names."""
    try:
        project, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise Refused(str(error)) from None
    found = [each for each in members if _is_metadata_of(each.raw_name.decode(errors="replace"), project, version)]
    if len(found) != 1:
        raise Refused(f"{filename} has {len(found) or 'no'} METADATA of {project} {version}; it needs exactly one.")
    return found[0]


def _check_member(source: Source, central: Header) -> ZipEntry:
    """Return the position of a member's data. The sizes that count are those of the directory.

    Unlike in an upload, sizes may also be after the data: tools that write a wheel as a stream do so.
    """
    local = read_local(source, central.offset)
    for header in (local, central):
        for rule in HEADER_RULES:
            rule(replace(header, flags=header.flags & ~DESCRIPTOR))
    if (local.raw_name, local.method) != (central.raw_name, central.method):
        raise refusal(ArchiveRule.ZIP_DISAGREES, local.place, "names another member or method than the directory")
    start = central.offset + local.length
    return ZipEntry(read_name(central), False, central.method, central.crc, central.stored, central.inflated, start)


def _is_metadata_of(member: str, project: str, version: Version) -> bool:
    path = PurePosixPath(member)
    folder = path.parent.name
    if path.name != "METADATA" or len(path.parts) != 2 or not folder.endswith(DIST_INFO):
        return False
    name, _, stated = folder.removesuffix(DIST_INFO).rpartition("-")
    return canonicalize_name(name) == project and parse_version_or_none(stated) == version
