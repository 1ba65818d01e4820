"""The frame of a ZIP file: members from the first byte on, then the directory, then the end, and nothing between.

Tools find members in two ways: from the directory at the end, or one after the other from the start. Some skip what
they do not know, some search for signatures. Here both ways must give the same members, and no byte may be left over,
so that there is nothing to skip and nothing to find. The standard library is not used, because it is lenient and its
versions differ.
"""

from dataclasses import dataclass

from koschey.inspection.archives.faults import STRICT, Faults
from koschey.inspection.archives.member_names import MAX_MEMBERS, Names
from koschey.inspection.archives.rules import ArchiveRule, member_in, refusal
from koschey.inspection.archives.tar.headers import is_header
from koschey.inspection.archives.zip.headers import CENTRAL_RULES, HEADER_RULES, PAIR_RULES, read_name
from koschey.inspection.archives.zip.records import (
    END,
    END64,
    END64_SIGNATURE,
    END_SIGNATURE,
    LOCAL_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    MAX16,
    MAX32,
    Header,
    Source,
    read_central,
    read_local,
)

TAR_BLOCK = 512


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """A member whose two headers agree and break no rule."""

    name: str
    """Without the slash at the end of a folder's name."""
    is_folder: bool
    method: int
    crc: int
    stored: int
    inflated: int
    start: int
    """Position of its data in the file."""


@dataclass(frozen=True, slots=True)
class Directory:
    """The position and the size of the directory, and its number of members."""

    offset: int
    size: int
    count: int


def read_entries(source: Source, *, twins: bool = False, faults: Faults = STRICT) -> tuple[ZipEntry, ...]:
    """Return the members of a ZIP file whose frame breaks no rule; `twins` and `faults` are those of `Names`."""
    if source.size < END.size or source.read(0, 4) not in (LOCAL_SIGNATURE, END_SIGNATURE):
        raise refusal(ArchiveRule.ZIP_LAYOUT, source.filename, "does not begin as a ZIP file does")
    if source.size >= TAR_BLOCK and is_header(source.read(0, TAR_BLOCK)):
        raise refusal(ArchiveRule.ZIP_TOO, source.filename, "can also be read as another archive than a ZIP file")
    directory = find_directory(source)
    names, entries, position = Names(source.filename, twins=twins, faults=faults), [], 0
    for central in sorted(read_directory(source, directory), key=lambda header: header.offset):
        if central.offset != position:
            fault = f"has {'a gap' if central.offset > position else 'members that overlap'} at byte {position}"
            raise refusal(ArchiveRule.ZIP_LAYOUT, source.filename, fault)
        entry = _read_entry(source, central)
        names.add(entry.name, is_folder=entry.is_folder)
        entries.append(entry)
        position = entry.start + entry.stored
    if position != directory.offset:
        raise refusal(ArchiveRule.ZIP_LAYOUT, source.filename, "has bytes between its last member and its directory")
    return tuple(entries)


def _read_entry(source: Source, central: Header) -> ZipEntry:
    local = read_local(source, central.offset)
    for header in (local, central):
        for rule in HEADER_RULES:
            rule(header)
    for central_rule in CENTRAL_RULES:
        central_rule(central)
    for pair_rule in PAIR_RULES:
        pair_rule(local, central)
    name = read_name(central)
    start = central.offset + local.length
    if start + central.stored > source.size:
        raise refusal(ArchiveRule.ZIP_LAYOUT, member_in(name, source.filename), "is longer than the file")
    is_folder = name.endswith("/")
    return ZipEntry(
        name.removesuffix("/"), is_folder, central.method, central.crc, central.stored, central.inflated, start
    )


def read_directory(source: Source, directory: Directory) -> list[Header]:
    """Return the directory's entries. Raises `Refused` if they are too many, or not as many as the end record says."""
    if directory.count > MAX_MEMBERS:
        raise refusal(
            ArchiveRule.TOO_MANY, source.filename, f"has more than {MAX_MEMBERS} members", "Split the project."
        )
    block, headers = memoryview(source.read(directory.offset, directory.size)), []
    while block:
        headers.append(read_central(block, source.filename))
        block = block[headers[-1].length :]
        if len(headers) > directory.count:
            break
    if len(headers) != directory.count:
        raise refusal(
            ArchiveRule.ZIP_DIRECTORY, source.filename, f"says that it has {directory.count} members, and has others"
        )
    return headers


def find_directory(source: Source) -> Directory:
    """Read the end of the file: exactly one end record (APPNOTE 4.3.16), and perhaps ZIP64's two before it."""
    position = source.size - END.size
    tail = source.read(position, END.size)
    signature, disk, first_disk, here, count, size, offset, comment = END.unpack(tail)
    if signature != END_SIGNATURE or tail.rfind(END_SIGNATURE) != 0:
        raise refusal(ArchiveRule.ZIP_TRAILING, source.filename, "does not end with the end record of a ZIP file")
    if comment or disk or first_disk or here != count:
        raise refusal(
            ArchiveRule.ZIP_END, source.filename, "has a comment, several disks, or two numbers of members at its end"
        )
    directory = Directory(offset, size, count)
    if position >= LOCATOR.size and source.read(position - LOCATOR.size, 4) == LOCATOR_SIGNATURE:
        position, directory = _read_end64(source, position - LOCATOR.size, directory)
    elif MAX32 in (offset, size) or count == MAX16:
        raise refusal(ArchiveRule.ZIP_64, source.filename, "says that it has a ZIP64 end record, and has none")
    if directory.offset + directory.size != position:
        raise refusal(
            ArchiveRule.ZIP_LAYOUT, source.filename, "has a directory that does not end where the end record begins"
        )
    return directory


def _read_end64(source: Source, locator_at: int, small: Directory) -> tuple[int, Directory]:
    """Return the position of the ZIP64 end record, and the directory that it states (APPNOTE 4.3.14, 4.3.15)."""
    _, disk, position, disks = LOCATOR.unpack(source.read(locator_at, LOCATOR.size))
    if disk or disks != 1 or position != locator_at - END64.size:
        raise refusal(
            ArchiveRule.ZIP_64, source.filename, "has a ZIP64 locator that does not point to the record before it"
        )
    fields = END64.unpack(source.read(position, END64.size))
    signature, length, _, _, this_disk, first_disk, here, count, size, offset = fields
    if signature != END64_SIGNATURE or length != END64.size - 12 or this_disk or first_disk or here != count:
        raise refusal(
            ArchiveRule.ZIP_64, source.filename, "has a ZIP64 end record that is not valid, or that has more in it"
        )
    pairs = ((small.offset, offset, MAX32), (small.size, size, MAX32), (small.count, count, MAX16))
    if any(narrow not in (wide, limit) for narrow, wide, limit in pairs):
        raise refusal(ArchiveRule.ZIP_64, source.filename, "has two end records that say different things")
    return position, Directory(offset, size, count)
