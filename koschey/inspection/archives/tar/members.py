"""The frame of a TAR file: members one after the other, each with one meaning, then zeros to the end.

Extended headers (pax, and GNU's long names) change what the next header says. Tools disagree about extended headers
that contradict each other or the header, so they are refused. Nothing is extracted, and the file is only read forwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from koschey.inspection.archives.compressed_stream import CHUNK, CompressedStream
from koschey.inspection.archives.limits import MIB
from koschey.inspection.archives.rules import ArchiveRule, member_in, refusal
from koschey.inspection.archives.tar.headers import (
    BLOCK,
    GNU_SPARSE,
    LONG_LINK,
    LONG_NAME,
    PAX,
    PAX_GLOBAL,
    TarHeader,
    read_header,
    read_pax,
)

MAX_EXTENDED = MIB
"""Maximum number of bytes of an extended header; names are far shorter."""
GLOBAL_KEYS = frozenset({"comment"})
"""Allowed keys of a global header: `git archive` writes the commit. Others would change every member after it."""
ZERO = bytes(BLOCK)


@dataclass(slots=True)
class Extended:
    """What extended headers say about the next header."""

    values: dict[str, str] = field(default_factory=dict)
    kinds: list[bytes] = field(default_factory=list)


def read_members(stream: CompressedStream, filename: str) -> Iterator[TarHeader]:
    """Yield the members. The caller must read each member's content, by `read_content`, before the next member."""
    extended = Extended()
    while True:
        position, block = stream.position, stream.read(BLOCK)
        if block == ZERO:
            break
        if len(block) < BLOCK:
            raise refusal(ArchiveRule.TAR_END, filename, "ends without the two empty blocks that end a TAR file")
        header = read_header(block, filename, position)
        if header.kind in (PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK):
            _extend(extended, header, stream, filename)
            continue
        yield _apply(extended, header, filename)
        extended = Extended()
    if extended.kinds:
        raise refusal(ArchiveRule.TAR_PAX, filename, "has an extended header with no member after it")
    _check_end(stream, filename)


def read_content(stream: CompressedStream, member: TarHeader, filename: str) -> Iterator[bytes]:
    """Yield the content of a member, and skip the padding of its last block."""
    missing = member.size
    while missing:
        chunk = stream.read(min(CHUNK, missing))
        if not chunk:
            raise refusal(ArchiveRule.TAR_END, member_in(member.name, filename), "is longer than the archive")
        missing -= len(chunk)
        yield chunk
    stream.read(-member.size % BLOCK)


def _extend(extended: Extended, header: TarHeader, stream: CompressedStream, filename: str) -> None:
    place = f"The extended header at byte {stream.position - BLOCK} of {filename}"
    if header.size > MAX_EXTENDED:
        raise refusal(ArchiveRule.TAR_PAX, place, f"is larger than {MAX_EXTENDED} bytes")
    body = _read_extended(stream, header, place)
    if header.kind == PAX_GLOBAL:
        if unknown := sorted(read_pax(body, place).keys() - GLOBAL_KEYS):
            raise refusal(ArchiveRule.TAR_PAX, place, f"sets {unknown[0]!a} for every member that follows")
        return
    if header.kind in extended.kinds:
        raise refusal(ArchiveRule.TAR_PAX, place, "is the second of its kind for one member")
    extended.kinds.append(header.kind)
    if header.kind == PAX:
        found = read_pax(body, place)
    else:
        found = {"path" if header.kind == LONG_NAME else "linkpath": _long_text(body, place)}
    if found.keys() & extended.values.keys():
        raise refusal(ArchiveRule.TAR_PAX, place, "states again what another extended header states")
    extended.values |= found


def _read_extended(stream: CompressedStream, header: TarHeader, place: str) -> bytes:
    """Return the body of an extended header. The standard library also reads the padding of its last block."""
    block = stream.read(header.size + -header.size % BLOCK)
    if len(block) % BLOCK or len(block) < header.size:
        raise refusal(ArchiveRule.TAR_END, place, "is longer than the archive")
    if block[header.size :].strip(b"\0"):
        raise refusal(ArchiveRule.TAR_PAX, place, "has bytes after its end, which some tools read and some do not")
    return block[: header.size]


def _long_text(body: bytes, place: str) -> str:
    text, _, rest = body.partition(b"\0")
    if rest.strip(b"\0"):
        raise refusal(ArchiveRule.TAR_PAX, place, "has text after the end of a name")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise refusal(ArchiveRule.TAR_PAX, place, "has a name that is not UTF-8") from None


def _apply(extended: Extended, header: TarHeader, filename: str) -> TarHeader:
    values = extended.values
    member = replace(header, name=values.get("path", header.name), link=values.get("linkpath", header.link))
    if values.get("size", str(header.size)) != str(header.size):
        raise refusal(
            ArchiveRule.TAR_PAX,
            member_in(member.name, filename),
            "has two sizes, and tools differ in which one they use",
        )
    if member.kind == GNU_SPARSE:
        raise refusal(
            ArchiveRule.TAR_SPARSE, member_in(member.name, filename), "has holes, which not every tool can unpack"
        )
    return member


def _check_end(stream: CompressedStream, filename: str) -> None:
    """Refuse anything but zeros after the first empty block (POSIX: at least one more empty block)."""
    length = 0
    while chunk := stream.read(CHUNK):
        length += len(chunk)
        if chunk.count(0) != len(chunk):
            raise refusal(
                ArchiveRule.TAR_END, filename, "has members after its end, which some tools read and some do not"
            )
    if length < BLOCK or length % BLOCK:
        raise refusal(ArchiveRule.TAR_END, filename, "does not end with two empty blocks")
