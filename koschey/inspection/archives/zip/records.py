"""The records of a ZIP file (APPNOTE 4.3), read exactly: a record that does not fit its own lengths is refused."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from koschey.inspection.archives.rules import ArchiveRule, member_in, refusal

LOCAL_SIGNATURE, CENTRAL_SIGNATURE = b"PK\3\4", b"PK\1\2"
END_SIGNATURE, END64_SIGNATURE, LOCATOR_SIGNATURE = b"PK\5\6", b"PK\6\6", b"PK\6\7"

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")

MAX16, MAX32 = 2**16 - 1, 2**32 - 1
EXTRA_ZIP64, EXTRA_UNICODE_PATH = 0x0001, 0x7075


@dataclass(frozen=True, slots=True)
class Source:
    """An open ZIP file."""

    file: BinaryIO
    filename: str
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes. Raises `Refused` if the file ends before them."""
        self.file.seek(offset)
        block = self.file.read(length)
        if len(block) != length:
            raise refusal(ArchiveRule.ZIP_LAYOUT, self.filename, f"ends within a record that begins at byte {offset}")
        return block


@dataclass(frozen=True, slots=True)
class Header:
    """One header of a member: before its data, or in the directory. Sizes are those of ZIP64, if any."""

    place: str
    raw_name: bytes
    version: int
    flags: int
    method: int
    crc: int
    stored: int
    inflated: int
    extras: tuple[tuple[int, bytes], ...]
    length: int
    """Length of the header itself, in bytes."""
    comment: int = 0
    disk: int = 0
    attributes: int = 0
    """External attributes: the upper half is the mode of Unix, the lower half is that of DOS."""
    offset: int = 0
    """Position of the local header in the file."""


def read_local(source: Source, offset: int) -> Header:
    """Read the header before a member's data."""
    fields = LOCAL.unpack(source.read(offset, LOCAL.size))
    signature, version, flags, method, _, _, crc, stored, inflated, name_length, extra_length = fields
    if signature != LOCAL_SIGNATURE:
        raise refusal(
            ArchiveRule.ZIP_LAYOUT, source.filename, f"has no member at byte {offset}, where its directory has one"
        )
    tail = source.read(offset + LOCAL.size, name_length + extra_length)
    name = tail[:name_length]
    place = f"The header of {member_in(name, source.filename)}"
    extras = _read_extras(tail[name_length:], place)
    stored, inflated = _widen_local(stored, inflated, dict(extras).get(EXTRA_ZIP64), place)
    length = LOCAL.size + len(tail)
    return Header(place, name, version, flags, method, crc, stored, inflated, extras, length)


def read_central(block: memoryview, filename: str) -> Header:
    """Read the next entry of the directory."""
    if len(block) < CENTRAL.size or block[:4] != CENTRAL_SIGNATURE:
        raise refusal(ArchiveRule.ZIP_DIRECTORY, filename, "has a record in its directory that describes no member")
    fields = CENTRAL.unpack(block[: CENTRAL.size])
    _, _, version, flags, method, _, _, crc, stored, inflated, *lengths, disk, _, attributes, offset = fields
    length = CENTRAL.size + sum(lengths)
    if len(block) < length:
        raise refusal(ArchiveRule.ZIP_DIRECTORY, filename, "has a directory that ends within a record")
    name_end = CENTRAL.size + lengths[0]
    name, raw_extras = bytes(block[CENTRAL.size : name_end]), bytes(block[name_end : name_end + lengths[1]])
    place = f"The directory's line of {member_in(name, filename)}"
    extras = _read_extras(raw_extras, place)
    narrow = [(inflated, 8), (stored, 8), (offset, 8), (disk, 4)]
    inflated, stored, offset, disk = _widen_central(narrow, dict(extras).get(EXTRA_ZIP64), place)
    return Header(
        place=place,
        raw_name=name,
        version=version,
        flags=flags,
        method=method,
        crc=crc,
        stored=stored,
        inflated=inflated,
        extras=extras,
        length=length,
        comment=lengths[2],
        disk=disk,
        attributes=attributes,
        offset=offset,
    )


def _read_extras(raw: bytes, place: str) -> tuple[tuple[int, bytes], ...]:
    extras, at = [], 0
    while at < len(raw):
        if len(raw) < at + 4 or len(raw) < (end := at + 4 + int.from_bytes(raw[at + 2 : at + 4], "little")):
            raise refusal(ArchiveRule.ZIP_EXTRA, place, "has an extra field that is shorter than it says")
        extras.append((int.from_bytes(raw[at : at + 2], "little"), raw[at + 4 : end]))
        at = end
    kinds = [kind for kind, _ in extras]
    for kind in (EXTRA_ZIP64, EXTRA_UNICODE_PATH):
        if kinds.count(kind) > 1:
            raise refusal(ArchiveRule.ZIP_EXTRA, place, f"has the extra field 0x{kind:04x} twice")
    return tuple(extras)


def _widen_local(stored: int, inflated: int, extra: bytes | None, place: str) -> tuple[int, int]:
    """Return the two sizes, from the ZIP64 field if there is one; it always has both (APPNOTE 4.5.3)."""
    if extra is None and MAX32 not in (stored, inflated):
        return stored, inflated
    if extra is None or len(extra) != 16:
        raise refusal(ArchiveRule.ZIP_64, place, "has no ZIP64 field of both sizes, though it needs or announces one")
    wide = int.from_bytes(extra[8:], "little"), int.from_bytes(extra[:8], "little")
    # Bazel repeats sizes that are small enough for the header: not as specified, but not ambiguous.
    if (stored, inflated) not in ((MAX32, MAX32), wide):
        raise refusal(ArchiveRule.ZIP_64, place, "has a ZIP64 field whose sizes are not those of the header")
    return wide


def _widen_central(fields: list[tuple[int, int]], extra: bytes | None, place: str) -> list[int]:
    """Return the fields. Those that are too large come from the ZIP64 field, in this order (APPNOTE 4.5.3).

    The ZIP64 field has only those. A field is its value and the number of bytes that it has in the ZIP64 field.
    """
    limits = [MAX32 if width == 8 else MAX16 for _, width in fields]
    wide = [index for index, limit in enumerate(limits) if fields[index][0] == limit]
    if (extra is not None) is not bool(wide) or len(extra or b"") != sum(fields[index][1] for index in wide):
        raise refusal(
            ArchiveRule.ZIP_64, place, "has a ZIP64 field that does not hold exactly what is too large for the header"
        )
    values, at = [value for value, _ in fields], 0
    for index in wide:
        end = at + fields[index][1]
        values[index], at = int.from_bytes((extra or b"")[at:end], "little"), end
    return values
