"""Reads the members of a ZIP file: inflated piece by piece, counted, and compared with their headers."""

import zlib
from collections.abc import Iterator

from koschey.errors import Refused
from koschey.inspection.archives.limits import is_bomb
from koschey.inspection.archives.rules import ArchiveRule, member_in, refusal
from koschey.inspection.archives.zip.framing import ZipEntry
from koschey.inspection.archives.zip.headers import STORED
from koschey.inspection.archives.zip.records import Source

CHUNK = 2**18


def check_bomb(source: Source, entries: tuple[ZipEntry, ...]) -> None:
    """Refuse an archive by the sizes that its headers state. `inflate` then checks that each member keeps to them."""
    inflated = sum(entry.inflated for entry in entries)
    if is_bomb(inflated, source.size):
        fault = f"inflates from {source.size} to {inflated} bytes, more than an honest archive would"
        raise refusal(ArchiveRule.BOMB, source.filename, fault, "Leave out empty data, or split the project.")


def inflate(source: Source, entry: ZipEntry) -> Iterator[bytes]:
    """Yield the content of a member. Raises `Refused` if it is longer, shorter or other than the headers say."""
    count, crc = 0, 0
    for chunk in _stored(source, entry) if entry.method == STORED else _inflated(source, entry):
        count += len(chunk)
        crc = zlib.crc32(chunk, crc)
        if count > entry.inflated:
            break
        yield chunk
    if count != entry.inflated:
        raise _broken(source, entry, f"does not inflate to the {entry.inflated} bytes that its headers promise")
    if crc != entry.crc:
        raise _broken(source, entry, "does not have the checksum that its headers promise")


def _stored(source: Source, entry: ZipEntry) -> Iterator[bytes]:
    for position in range(0, entry.stored, CHUNK):
        yield source.read(entry.start + position, min(CHUNK, entry.stored - position))


def _inflated(source: Source, entry: ZipEntry) -> Iterator[bytes]:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    for block in _stored(source, entry):
        pending = block
        while pending:
            if stream.eof:
                raise _broken(source, entry, "has bytes after the end of its data")
            yield _decompress(source, entry, stream, pending)
            pending = stream.unconsumed_tail or stream.unused_data
    # The output that the stream still holds back, also piece by piece: one byte of input can inflate to much.
    while not stream.eof:
        chunk = _decompress(source, entry, stream, b"")
        if not chunk and not stream.eof:
            raise _broken(source, entry, "ends before its data does")
        yield chunk


def _decompress(source: Source, entry: ZipEntry, stream: "zlib._Decompress", block: bytes) -> bytes:
    try:
        return stream.decompress(block, CHUNK)
    except zlib.error as error:
        raise _broken(source, entry, f"cannot be inflated ({error})") from None


def _broken(source: Source, entry: ZipEntry, fault: str) -> Refused:
    return refusal(ArchiveRule.ZIP_CONTENT, member_in(entry.name, source.filename), fault)
