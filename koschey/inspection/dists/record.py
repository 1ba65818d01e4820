"""The rules for RECORD (PEP 376, 427): it lists each file of the wheel once, with its digest and its size.

Installers install and uninstall by RECORD. So a missing, surplus or wrong row is refused, and not only a digest that
does not match.
"""

import base64
import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from koschey.inspection.archives.rules import ArchiveRule, refusal, shown

ALGORITHMS: Mapping[str, Callable[[], "hashlib._Hash"]] = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}
"""PEP 427: "sha256 or better; specifically, md5 and sha1 are not permitted"."""
SIGNATURES = ("RECORD.jws", "RECORD.p7s")
"""PEP 427: they "cannot have hashes as they can only be added after RECORD is generated"."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of RECORD."""

    path: str
    algorithm: str
    digest: str
    size: str


def read_record(body: bytes, place: str) -> dict[str, Row]:
    """Read the rows, by path; `place` names the file in messages."""
    try:
        lines = list(csv.reader(body.decode().splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise refusal(ArchiveRule.RECORD, place, f"is not a table of comma-separated UTF-8 ({error})") from None
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, 1):
        if len(line) != 3:
            raise refusal(ArchiveRule.RECORD, place, f"has {len(line)} columns instead of 3 in row {number}")
        algorithm, _, digest = line[1].partition("=")
        row = Row(line[0], algorithm, digest, line[2])
        if row.path in rows:
            raise refusal(ArchiveRule.RECORD, place, f"lists {shown(row.path)} twice")
        rows[row.path] = row
    return rows


def check_record(rows: Mapping[str, Row], files: Iterable[str], place: str, dist_info: str) -> None:
    """Refuse a RECORD that does not list exactly these files; `Digest` compares the digests."""
    own = f"{dist_info}/RECORD"
    exempt = {own, *(f"{dist_info}/{name}" for name in SIGNATURES)}
    names = set(files)
    for path, row in rows.items():
        if path not in names:
            raise refusal(ArchiveRule.RECORD, place, f"lists {shown(path)}, which is not in the wheel")
        if path == own and row.digest:
            raise refusal(ArchiveRule.RECORD, place, "states a digest of itself, which no file can hold")
        if path not in exempt and not (row.digest and row.algorithm in ALGORITHMS):
            fault = f"has no sha256, sha384 or sha512 of {shown(path)}"
            raise refusal(ArchiveRule.RECORD, place, fault)
    if missing := sorted(names - rows.keys() - exempt):
        raise refusal(ArchiveRule.RECORD, place, f"does not list {shown(missing[0])}, which is in the wheel")


class Digest:
    """Compares the content of one file with its row."""

    def __init__(self, row: Row | None) -> None:
        """Accept any content if there is no row or digest; `check_record` allows that for RECORD and signatures."""
        self._row = row if row and row.algorithm in ALGORITHMS else None
        self._hasher = ALGORITHMS[self._row.algorithm]() if self._row else None
        self._size = 0

    def update(self, chunk: bytes) -> None:
        """Add the next piece of the content."""
        self._size += len(chunk)
        if self._hasher:
            self._hasher.update(chunk)

    def check(self, place: str) -> None:
        """Refuse content that does not match the row."""
        if self._row is None or self._hasher is None:
            return
        digest = base64.urlsafe_b64encode(self._hasher.digest()).rstrip(b"=").decode()
        # It should be "urlsafe-base64-nopad". A few builders write hexadecimal, which proves the same.
        if self._row.digest not in (digest, self._hasher.hexdigest()):
            fault = f"has another {self._row.algorithm} of {shown(self._row.path)} than the file has"
            raise refusal(ArchiveRule.RECORD, place, fault)
        if self._row.size not in ("", str(self._size)):
            fault = f"has another size of {shown(self._row.path)} than the {self._size} bytes that the file has"
            raise refusal(ArchiveRule.RECORD, place, fault)
