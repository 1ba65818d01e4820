"""One header block of a TAR file (POSIX ustar, pax, and GNU's), and the records of an extended header.

Numbers are read as the standard writes them. A size must be octal and not negative: the standard library of some Python
versions follows a negative size backwards without end.
"""

import re
from dataclasses import dataclass

from koschey.inspection.archives.rules import ArchiveRule, refusal, shown

BLOCK = 512
POSIX, GNU, OLD = b"ustar\x0000", b"ustar  \0", bytes(8)

FILE, OLD_FILE, HARD_LINK, SYMBOLIC_LINK, FOLDER = b"0", b"\0", b"1", b"2", b"5"
PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK, GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"

SPARSE_KEY = "GNU.sparse."
DECIDING = ("path", "linkpath", "size")
OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
RECORD = re.compile(rb"([1-9][0-9]{0,8}) ([^=\0\n]+)=")
NUMBERS = {
    "mode": (100, 8),
    "uid": (108, 8),
    "gid": (116, 8),
    "mtime": (136, 12),
    "devmajor": (329, 8),
    "devminor": (337, 8),
}


@dataclass(frozen=True, slots=True)
class TarHeader:
    """The fields of a header block."""

    name: str
    kind: bytes
    size: int
    link: str


def is_header(block: bytes) -> bool:
    """Return whether a block has the checksum of a header: the sum of its bytes, with its own eight as spaces."""
    stated = OCTAL.fullmatch(block[148:156])
    total = sum(block[:148]) + sum(block[156:BLOCK]) + 8 * ord(" ")
    return len(block) == BLOCK and stated is not None and stated[1] != b"" and int(stated[1], 8) == total


def read_header(block: bytes, filename: str, position: int) -> TarHeader:
    """Read the header at a position of the inflated archive."""
    place = f"The header at byte {position} of {filename}"
    if not is_header(block):
        raise refusal(ArchiveRule.TAR_HEADER, place, "does not have the checksum that it states")
    magic, prefix = block[257:265], _text(block[345:500], place)
    if magic not in (POSIX, GNU, OLD):
        raise refusal(ArchiveRule.TAR_HEADER, place, f"is of an unknown format {shown(magic)}")
    if prefix and magic != POSIX:
        raise refusal(ArchiveRule.TAR_HEADER, place, "has a prefix of the name, which its format does not have")
    for field, (start, length) in NUMBERS.items():
        _check_number(block[start : start + length], field, place)
    size = OCTAL.fullmatch(block[124:136])
    if size is None:
        raise refusal(ArchiveRule.TAR_HEADER, place, "has a size that is negative, or not octal")
    name = _text(block[:100], place)
    kind = FILE if block[156:157] == OLD_FILE else block[156:157]
    return TarHeader(
        f"{prefix}/{name}" if prefix else name, kind, int(size[1] or b"0", 8), _text(block[157:257], place)
    )


def read_pax(body: bytes, place: str) -> dict[str, str]:
    """Read the records "length key=value" of an extended header (POSIX pax)."""
    records: dict[str, str] = {}
    start = 0
    while start < len(body):
        match = RECORD.match(body, start)
        end = start + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(body) or body[end - 1 : end] != b"\n":
            raise refusal(ArchiveRule.TAR_PAX, place, "has a record that does not fit its own length")
        key, value = _decoded(match[2], place), _decoded(body[match.end() : end - 1], place)
        if key in records and key in DECIDING:
            raise refusal(ArchiveRule.TAR_PAX, place, f"states the {key} twice")
        if key.startswith(SPARSE_KEY):
            raise refusal(ArchiveRule.TAR_SPARSE, place, "describes a file with holes, which not every tool can unpack")
        if key in ("hdrcharset", "charset") or (key in DECIDING and "\0" in value):
            raise refusal(ArchiveRule.TAR_PAX, place, f"has a {key} that tools read differently")
        records[key] = value
        start = end
    return records


def _check_number(field: bytes, name: str, place: str) -> None:
    # GNU's form of large and negative numbers begins with one of these two bytes.
    if field[0] not in (0o200, 0o377) and OCTAL.fullmatch(field) is None:
        raise refusal(ArchiveRule.TAR_HEADER, place, f"has a {name} that is not a number")


def _text(field: bytes, place: str) -> str:
    return _decoded(field.partition(b"\0")[0], place)


def _decoded(raw: bytes, place: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise refusal(
            ArchiveRule.TAR_HEADER, place, "has a text that is not UTF-8", "Rename it, and build again."
        ) from None
