"""Facts of files for checks, from archives that the test's own process reads as the child does."""

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import msgspec
from pypi_simple import parse_filename

from koschey.inspection.archives.content import Content
from koschey.inspection.archives.limits import MIB
from koschey.inspection.checks.check import Check, FileFacts, Finding
from koschey.inspection.sandbox import job
from tests.support.corpora_zips import INFO, Part, wheel_parts, write_zip


def content_of_bytes(filename: str, content: bytes) -> Content:
    """The report on an archive, converted through JSON as the child's output is."""
    printed = json.dumps(job.report(io.BytesIO(content), filename, len(content), 1024 * MIB))
    return msgspec.json.decode(printed, type=Content)


def wheel_with(name: bytes, body: bytes) -> bytes:
    """The bytes of `corpora_zips.FILENAME` with one additional file, deflated."""
    parts = [part for part in (*wheel_parts(), Part(name, body)) if not part.name.endswith(b"/RECORD")]
    rows = b"".join(b"%s,sha256=%s,%d\n" % (part.name, _digest(part.body), len(part.body)) for part in parts)
    record = f"{INFO}/RECORD".encode()
    return write_zip([*parts, Part(record, rows + record + b",,\n")])


def _digest(body: bytes) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=")


def facts_of(filename: str, content: bytes, **changes: Any) -> FileFacts:
    """The facts of a mirrored file, of which the page says nothing wrong."""
    project, version, _ = parse_filename(filename)
    report = content_of_bytes(filename, content)
    known: dict[str, Any] = {
        "project": project.replace("_", "-").lower(),
        "version": version or "",
        "filename": filename,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "origin": "mirrored",
        "requires_python": report.metadata.requires_python if report.metadata else None,
        "core_metadata": report.metadata.sha256 if report.metadata and filename.endswith(".whl") else None,
        "content": report,
    }
    return FileFacts(**(known | changes))


async def findings_of(check: Check, facts: FileFacts, previous: FileFacts | None = None) -> dict[str, Finding]:
    """The findings of a check, by code. Asserts that the check has declared each of them with this severity."""
    found = await check(facts, Path("/dev/null"), previous)
    for one in found:
        assert one.severity is check.codes[one.code].severity
        assert json.dumps(one.evidence)
    assert len({one.code for one in found}) == len(found)
    return {one.code: one for one in found}
