"""Inspects bytes as an upload would be: in the child process, or a hundred times faster in the test's own process."""

import io
import tarfile
import tempfile
import zipfile
from typing import Any

import pytest

from koschey.errors import Refused
from koschey.inspection.archives.gzip_stream import GzipStream
from koschey.inspection.archives.limits import MIB, Limits
from koschey.inspection.archives.tar.headers import FOLDER
from koschey.inspection.archives.tar.members import read_content, read_members
from koschey.inspection.archives.zip.content import inflate
from koschey.inspection.archives.zip.framing import read_entries
from koschey.inspection.archives.zip.records import Source
from koschey.inspection.sandbox import job
from koschey.inspection.sandbox.inspector import Inspected, Inspector

LOAD = """
import sys; sys.path += sys.argv[1:3]
from koschey.inspection.sandbox import forkserver
{}
forkserver.main(lambda filename, *bounds: work())
"""

type TarMember = tuple[str, bytes, int, str, bytes]
"""Name, kind, size, target of a link, and content."""


async def inspect_bytes(filename: str, content: bytes, limits: Limits | None = None) -> Inspected:
    """Inspect bytes as an upload would be. Raises `Refused`."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return await Inspector(limits).inspect(file.fileno(), filename)


def working(lines: str) -> str:
    """The code of a forker whose children run these lines, `def work(): ...`, instead of an inspection."""
    return LOAD.format(lines)


def inspect_here(filename: str, content: bytes) -> dict[str, Any]:
    """The child's output for an upload. Raises `Refused`, also if only a rule with a switch refuses the upload."""
    answer = job.answer(io.BytesIO(content), filename, len(content), 1024 * MIB)
    if refused := answer.get("refused") or next((fault.text for fault in answer.get("faults", ())), None):
        raise Refused(refused)
    return answer


def assert_refused(filename: str, content: bytes, rule: str) -> None:
    """Require that this rule refuses the bytes, in one printable line that names the file."""
    with pytest.raises(Refused) as refusal:
        inspect_here(filename, content)
    message = str(refusal.value)
    assert message.startswith(f"{rule}: "), message
    assert message.isprintable()
    assert filename in message
    assert len(message) < 1000


def read_zip(content: bytes) -> dict[str, bytes]:
    """The members that Koschey reads from a ZIP file: content by name."""
    source = Source(io.BytesIO(content), "x.whl", len(content))
    return {item.name: b"".join(inflate(source, item)) for item in read_entries(source) if not item.is_folder}


def by_zipfile(content: bytes) -> dict[str, bytes]:
    """The members that the standard library reads, by the directory at the end; the last entry of a name counts."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {item.filename: archive.read(item) for item in archive.infolist() if not item.is_dir()}


def read_tar(content: bytes) -> list[TarMember]:
    """The members that Koschey reads from a gzipped TAR file."""
    stream, found = GzipStream(io.BytesIO(content), "x.tar.gz", len(content)), []
    for member in read_members(stream, "x.tar.gz"):
        body = b"".join(read_content(stream, member, "x.tar.gz"))
        name = member.name.removesuffix("/") if member.kind == FOLDER else member.name
        found.append((name, member.kind, member.size, member.link, body))
    return found


def by_tarfile(content: bytes) -> list[TarMember]:
    """The members that the standard library reads from a gzipped TAR file."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            source = archive.extractfile(member) if member.isreg() else None
            kind = tarfile.REGTYPE if member.isreg() else member.type
            found.append((member.name, kind, member.size, member.linkname, source.read() if source else b""))
    return found
