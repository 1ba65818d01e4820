"""Reads the records of an advisory feed one at a time, within limits, because the feed comes from outside.

Python's `zipfile` reads the archives here, and not the readers of `koschey.inspection`: those refuse what installers
could read in two ways, and honest feeds are written in such ways (sizes after the data). This is safe because the
module believes no figure of an archive: it bounds the directory, from which `zipfile` makes one object for each member,
before it reads it; it inflates each member only up to the size of a record; and it counts the bytes of all members.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from koschey.errors import UpstreamMalformed
from koschey.model import Advisory
from koschey.standards.osv import decode, read_record

MIB = 2**20
MAX_FEED = 512 * MIB
"""Maximum size of the file, in bytes, as it is transferred."""
MAX_DIRECTORY = 24 * MIB
"""Maximum size of an archive's directory, in bytes: some two hundred thousand records."""
MAX_RECORDS = 300_000
MAX_RECORD = 8 * MIB
MAX_WHOLE = 16 * MIB
"""Maximum size of one JSON document with many records, in bytes. Larger feeds come as an archive, or in lines."""
MAX_INFLATED = 2048 * MIB
MAX_KEPT = 3_000_000
"""Maximum number of versions and ranges of a feed."""

END, END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
END_SIGNATURE, END64_SIGNATURE, LOCATOR_SIGNATURE = b"PK\5\6", b"PK\6\6", b"PK\6\7"
LOCATOR = 20
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    OSError,
)
"""What `zipfile` raises for a broken archive."""
MARK = b"PK"
"""The first bytes of an archive; JSON does not begin like this."""


def read_feed(path: Path) -> list[Advisory]:
    """Return all advisories about Python projects in a file or in the files of a folder.

    Raises `UpstreamMalformed` if a limit is exceeded, a record is malformed, or no record is about a Python project.
    """
    advisories, count = {}, 0
    for number, record in enumerate(_records(path)):
        if number >= MAX_RECORDS:
            raise UpstreamMalformed(f"the advisory feed has more than {MAX_RECORDS} records")
        for advisory in read_record(record):
            advisories[advisory.id, advisory.project] = advisory
            count += len(advisory.versions) + len(advisory.ranges)
        if count > MAX_KEPT:
            raise UpstreamMalformed(f"the advisory feed names more than {MAX_KEPT} versions")
    if not advisories:
        # An empty feed would withdraw all advisories.
        raise UpstreamMalformed("the advisory feed names no Python project; check KOSCHEY_ADVISORIES")
    return list(advisories.values())


def _records(path: Path) -> Iterator[Any]:
    try:
        for file in _files(path):
            with file.open("rb") as stream:
                is_archive = stream.read(len(MARK)) == MARK
                stream.seek(0)
                yield from _in_archive(stream) if is_archive else _in_json(stream)
    except OSError as error:
        raise UpstreamMalformed(f"the advisory feed cannot be read: {error}") from None


def _files(path: Path) -> Iterator[Path]:
    """Yield the feed's files; those of a folder in order, without hidden ones."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        if file.suffix in (".json", ".jsonl", ".zip") and not file.name.startswith(".") and file.is_file():
            yield file


def _in_archive(stream: BinaryIO) -> Iterator[Any]:
    inflated = 0
    try:
        _check_directory(stream)
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                if member.is_dir() or not member.filename.endswith(".json"):
                    continue
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    # Other methods may need gigabytes of memory before they yield a byte.
                    raise UpstreamMalformed("the advisory feed is an archive compressed by another method than deflate")
                with archive.open(member) as content:
                    body = content.read(MAX_RECORD + 1)
                inflated += len(body)
                _check_size(body, inflated)
                yield decode(body)
    except BROKEN as error:
        raise UpstreamMalformed(f"the advisory feed is not a readable ZIP archive: {error}") from None


def _check_directory(stream: BinaryIO) -> None:
    """Refuse an archive whose directory is large, or whose end `zipfile` might read elsewhere than we do."""
    size = stream.seek(0, 2)
    if size > MAX_FEED or size < END.size:
        raise UpstreamMalformed(f"the advisory feed has {size} bytes; an archive has {END.size} to {MAX_FEED}")
    stream.seek(max(0, size - END.size - LOCATOR - END64.size))
    tail = stream.read()
    stream.seek(0)
    signature, *_, directory, _, comment = END.unpack(tail[-END.size :])
    if signature != END_SIGNATURE or comment:
        raise UpstreamMalformed("the advisory feed does not end with the end record of a ZIP archive without a comment")
    before = tail[: -END.size]
    if before[-LOCATOR : -LOCATOR + 4] == LOCATOR_SIGNATURE:
        if len(before) < LOCATOR + END64.size or before[: len(END64_SIGNATURE)] != END64_SIGNATURE:
            raise UpstreamMalformed("the advisory feed has a ZIP64 locator without a ZIP64 end record before it")
        directory = END64.unpack(before[: END64.size])[-2]
    if directory > MAX_DIRECTORY:
        raise UpstreamMalformed(
            f"the advisory feed's directory has {directory} bytes; Koschey reads at most {MAX_DIRECTORY}"
        )


def _in_json(stream: BinaryIO) -> Iterator[Any]:
    """Read one record, an array of records, or a record a line."""
    first = stream.readline(MAX_RECORD + 1)
    while first and not first.strip():
        first = stream.readline(MAX_RECORD + 1)
    if _is_record(first):
        yield from _in_lines(first, stream)
        return
    body = first + stream.read(MAX_WHOLE + 1 - len(first))
    if len(body) > MAX_WHOLE:
        raise UpstreamMalformed(f"the advisory feed is one JSON document of more than {MAX_WHOLE // MIB} MiB")
    found = decode(body)
    yield from found if isinstance(found, list) else [found]


def _is_record(line: bytes) -> bool:
    """Return whether a line is a whole record rather than the beginning of a document of many lines."""
    try:
        return isinstance(decode(line), dict)
    except UpstreamMalformed:
        return False


def _in_lines(first: bytes, stream: BinaryIO) -> Iterator[Any]:
    line, read = first, 0
    while line:
        read += len(line)
        _check_size(line, read)
        if line.strip():
            yield decode(line)
        line = stream.readline(MAX_RECORD + 1)


def _check_size(record: bytes, all_together: int) -> None:
    if len(record) > MAX_RECORD:
        raise UpstreamMalformed(f"the advisory feed has a record of more than {MAX_RECORD // MIB} MiB")
    if all_together > MAX_INFLATED:
        raise UpstreamMalformed(f"the advisory feed holds more than {MAX_INFLATED // MIB} MiB")
