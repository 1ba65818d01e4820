"""Whether Python in a file hides what it does, or reads what thieves read: the opinion of hexora, if it is installed.

hexora parses the source and follows names and texts; it executes nothing. Its rules change with its versions, and this
module only sorts them: a reviewer decides about findings of which hexora is sure and that are typical of malware; the
rest is noted. The extra `koschey[scan]` installs it. It is compiled code that reads hostile files, so this check runs
in a child, as third-party checks do.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from koschey.inspection.archives.limits import MIB
from koschey.inspection.archives.tar.headers import FILE
from koschey.inspection.archives.zip.content import inflate
from koschey.inspection.archives.zip.framing import read_entries
from koschey.inspection.archives.zip.records import Source
from koschey.inspection.checks.check import (
    Code,
    FileFacts,
    Finding,
    FindingAction,
    Previous,
    Severity,
    Skipped,
    content_of,
)
from koschey.inspection.dists.sdist_archives import read_archive

MAX_MEMBER = 5 * MIB
"""Maximum number of bytes of one Python file; a larger one is not scanned, and the archive stays held."""
CONFIDENCE = ("very_low", "low", "medium", "high", "very_high")
"""hexora's levels of confidence, the lowest first."""
HIDDEN, SENT, FETCHED, STOLEN, RUN = "obfuscated", "sends-secrets", "downloads", "reads-secrets", "runs-commands"
SORTED = (
    ("HX4", "very_high", HIDDEN),
    ("HX9", "medium", SENT),
    ("HX8", "high", FETCHED),
    *((start, "high", STOLEN) for start in ("HX1", "HX2", "HX607", "HX608")),
    *((start, "high", RUN) for start in ("HX3", "HX4")),
)
"""The beginning of a rule's name, the minimum confidence, and the code.

Ordinary code runs what it reads, and reads well-known files: of some 150 distributions, five have one of the first
three, and more than twenty have one of the others."""
SHOWN = 20


class Scanner:
    """Reports what hexora finds in the Python files of an archive."""

    name = "scanner"
    codes = {  # noqa: RUF012 - an attribute of the Protocol
        HIDDEN: Code("It runs code or commands that it hides.", FindingAction.HOLD, Severity.SERIOUS),
        SENT: Code("It sends data from files or from the environment away.", FindingAction.HOLD, Severity.SERIOUS),
        STOLEN: Code(
            "It reads what malware steals: passwords, tokens, data of browsers, the clipboard.",
            FindingAction.NOTE,
            Severity.WARNING,
        ),
        RUN: Code("It runs code built from strings, or shell commands.", FindingAction.NOTE, Severity.WARNING),
        FETCHED: Code("It downloads something to run.", FindingAction.HOLD, Severity.SERIOUS),
    }

    async def __call__(self, facts: FileFacts, path: Path, previous: Previous | None) -> Sequence[Finding]:
        """Scan every Python file."""
        del previous
        content_of(facts)
        said: dict[str, list[dict[str, Any]]] = defaultdict(list)
        skipped = []
        with path.open("rb") as archive, tempfile.NamedTemporaryFile(suffix=".py") as member:
            for name, size, chunks in _python(archive, facts):
                if size > MAX_MEMBER:
                    skipped.append(name)
                    continue
                member.seek(0)
                member.truncate()
                member.writelines(chunks)
                member.flush()
                for code, item in _audit(member.name):
                    said[code].append({"file": name, **item})
        findings = [_finding(code, items) for code, items in sorted(said.items())]
        if skipped:
            raise Skipped(f"{skipped[0]}, which is larger than {MAX_MEMBER} bytes", findings)
        return findings


def _audit(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    import hexora  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415 - only in the child, if installed

    for result in hexora.audit_file(path):
        for item in result["items"]:
            if code := code_of(item["rule"], item["confidence"]):
                yield code, {"rule": item["rule"], "what": item["description"], "at": list(item["location"] or ())}


def code_of(rule: str, confidence: str) -> str | None:
    """Return the code for a finding of hexora, or None if it says nothing about intent."""
    sure = CONFIDENCE.index(confidence)
    return next(
        (code for start, least, code in SORTED if rule.startswith(start) and sure >= CONFIDENCE.index(least)), None
    )


def _finding(code: str, items: Sequence[dict[str, Any]]) -> Finding:
    files = sorted({item["file"] for item in items})
    summary = f"{items[0]['what']} In {files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    return Finding(code, Scanner.codes[code].severity, summary, {"seen": list(items[:SHOWN]), "count": len(items)})


def _python(archive: BinaryIO, facts: FileFacts) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Yield the name, size and content of each Python file; content that the caller does not read is skipped."""
    members = _of_wheel if facts.is_wheel else _of_sdist
    for name, size, chunks in members(archive, facts):
        if name.endswith((".py", ".pyw", ".pth")):
            yield name, size, chunks
        for _ in chunks:
            pass


def _of_wheel(archive: BinaryIO, facts: FileFacts) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    source = Source(archive, facts.filename, facts.size)
    for entry in read_entries(source):
        if not entry.is_folder:
            yield entry.name, entry.inflated, inflate(source, entry)


def _of_sdist(archive: BinaryIO, facts: FileFacts) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    for member, chunks in read_archive(archive, facts.filename, facts.size):
        if member.kind == FILE:
            yield member.name, member.size, chunks
        for _ in chunks:
            pass


SCANNER = Scanner()
