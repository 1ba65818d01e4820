"""The journal as other systems read it: JSON lines, which `koschey audit verify` reads again, or CEF for a SIEM."""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from koschey import __version__
from koschey.db.journal_chain import ChainedEntry
from koschey.errors import UsageError
from koschey.governance.journal_chain import EPOCH
from koschey.model import Serial
from koschey.standards.simple_json import format_time

SEVERITY = 5
"""Of all entries, on CEF's scale from 0 to 10: which events matter is the reader's decision."""


class ExportFormat(StrEnum):
    """The formats of an export."""

    JSONL = "jsonl"
    CEF = "cef"


class ExportedEntry(Struct, frozen=True, kw_only=True):
    """An entry as one JSON line. The bytes of `detail` are those that the digest covers."""

    serial: int
    at: str
    """Always UTC: `yyyy-mm-ddThh:mm:ss.ffffffZ`."""
    actor: str
    door: str
    action: str
    project: str | None
    version: str | None
    filename: str | None
    detail: msgspec.Raw
    digest: str | None
    """In hexadecimal digits."""


def json_line(entry: ChainedEntry) -> str:
    """Return an entry as one line of JSON."""
    exported = ExportedEntry(
        **entry._asdict()
        | {
            "at": format_time(entry.at),
            "detail": msgspec.Raw(entry.detail.encode()),
            "digest": entry.digest.hex() if entry.digest else None,
        }
    )
    return msgspec.json.encode(exported).decode()


def cef_line(entry: ChainedEntry) -> str:
    """Return an entry in ArcSight's Common Event Format, version 0."""
    custom = (
        *(("door", entry.door), ("project", entry.project), ("version", entry.version)),
        ("digest", entry.digest.hex() if entry.digest else None),
    )
    fields = {
        "rt": str(round((entry.at - EPOCH).total_seconds() * 1000)),
        "externalId": str(entry.serial),
        "suser": entry.actor,
        "fname": entry.filename,
        "msg": entry.detail,
    }
    for number, (label, text) in enumerate(custom, 1):
        fields |= {f"cs{number}Label": label, f"cs{number}": text} if text else {}
    # "the pipe and the backslash in the header, the equal sign and the backslash in the extension" are escaped.
    head = ("CEF:0", "Koschey", "Koschey", __version__, entry.action, entry.action, str(SEVERITY))
    extension = " ".join(f"{name}={_escaped(text, '=')}" for name, text in fields.items() if text)
    return "|".join([*(_escaped(text, "|") for text in head), extension])


RENDERERS: dict[ExportFormat, Callable[[ChainedEntry], str]] = {
    ExportFormat.JSONL: json_line,
    ExportFormat.CEF: cef_line,
}


async def read_export(lines: Iterable[bytes]) -> AsyncIterator[ChainedEntry]:
    """Yield the entries of an export in JSON lines. Raises `UsageError` that names the line."""
    for number, line in enumerate(lines, 1):
        try:
            exported = msgspec.json.decode(line, type=ExportedEntry)
            values = msgspec.structs.asdict(exported) | {
                "serial": Serial(exported.serial),
                "at": datetime.fromisoformat(exported.at),
                "detail": bytes(exported.detail).decode(),
                "digest": bytes.fromhex(exported.digest) if exported.digest else None,
            }
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
            raise UsageError(f"line {number} is no entry of an export in JSON lines: {error}") from None
        yield ChainedEntry(**values)


def _escaped(text: str, special: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(special, f"\\{special}")
    return escaped.replace("\r", "\\r").replace("\n", "\\n")
