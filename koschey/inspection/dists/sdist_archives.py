"""Reads the archives that an sdist can be: members one after the other, each with its content, in any format.

PEP 625 allows only `.tar.gz`. The other formats are older (PEP 527), and pip still installs them; an upload rule has
the switch. Each is read as strictly as a `.tar.gz`.
"""

from collections.abc import Iterator
from typing import BinaryIO

from koschey.inspection.archives.compressed_stream import CompressedStream
from koschey.inspection.archives.gzip_stream import GzipStream
from koschey.inspection.archives.rules import ArchiveRule, refusal
from koschey.inspection.archives.tar.headers import FILE, FOLDER, TarHeader
from koschey.inspection.archives.tar.members import read_content, read_members
from koschey.inspection.archives.zip.content import check_bomb, inflate
from koschey.inspection.archives.zip.framing import read_entries
from koschey.inspection.archives.zip.records import END, END_SIGNATURE, Source
from koschey.standards.sdist_filename import sdist_suffix

ZIP_TAIL = 2**16 + END.size
"""Number of bytes at the end in which installers look for the end record of a ZIP file."""


def read_archive(file: BinaryIO, filename: str, size: int) -> Iterator[tuple[TarHeader, Iterator[bytes]]]:
    """Yield the members with their content, which must be read before the next member.

    Raises `Refused` if the frame of the archive breaks a rule, or if the filename is not that of an sdist.
    """
    suffix = sdist_suffix(filename)
    if suffix is None:
        raise refusal(ArchiveRule.SDIST, filename, "is not a '.tar.gz', and every sdist must be one (PEP 625)")
    if suffix == ".zip":
        yield from _read_zip(Source(file, filename, size))
    else:
        _is_no_zip(file, filename, size)
        yield from _read_tar(_open_stream(suffix, file, filename, size), filename)


def _open_stream(suffix: str, file: BinaryIO, filename: str, size: int) -> CompressedStream:
    if suffix in (".tar.gz", ".tgz"):
        return GzipStream(file, filename, size)
    # Python may have been built without these.
    from koschey.inspection.archives.block_streams import Bzip2Stream, XzStream  # noqa: PLC0415

    return (Bzip2Stream if suffix == ".tar.bz2" else XzStream)(file, filename, size)


def _read_tar(stream: CompressedStream, filename: str) -> Iterator[tuple[TarHeader, Iterator[bytes]]]:
    for member in read_members(stream, filename):
        yield member, read_content(stream, member, filename)


def _read_zip(source: Source) -> Iterator[tuple[TarHeader, Iterator[bytes]]]:
    # As in a TAR file: an sdist is not what is installed, and names in tests do sometimes differ only in case.
    entries = read_entries(source, twins=True)
    check_bomb(source, entries)
    for entry in entries:
        name = f"{entry.name}/" if entry.is_folder else entry.name
        yield TarHeader(name, FOLDER if entry.is_folder else FILE, entry.inflated, ""), inflate(source, entry)


def _is_no_zip(file: BinaryIO, filename: str, size: int) -> None:
    """Refuse a file with the end record of a ZIP file near its end: installers read it as one, whatever its name."""
    file.seek(max(0, size - ZIP_TAIL))
    tail = file.read(ZIP_TAIL)
    file.seek(0)
    if 0 <= tail.find(END_SIGNATURE) <= len(tail) - END.size:
        fault = "has the end record of a ZIP file near its end, and pip would unpack it as one"
        raise refusal(ArchiveRule.TAR_TOO, filename, fault, "Compress it at another level.")
