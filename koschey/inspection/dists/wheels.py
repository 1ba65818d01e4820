"""The rules for wheels (PEP 427): whether a ZIP file, whose frame has been checked, can be installed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import BinaryIO

from packaging.utils import canonicalize_name, parse_wheel_filename

from koschey.inspection.archives.collector import Collector
from koschey.inspection.archives.content import Content
from koschey.inspection.archives.faults import STRICT, Faults
from koschey.inspection.archives.limits import MAX_ENTRY_POINTS, MAX_METADATA, MIB
from koschey.inspection.archives.rules import ArchiveRule, member_in, refusal, shown
from koschey.inspection.archives.zip.content import check_bomb, inflate
from koschey.inspection.archives.zip.framing import ZipEntry, read_entries
from koschey.inspection.archives.zip.records import Source
from koschey.inspection.dists.entry_points import check_entry_points
from koschey.inspection.dists.license_files import check_license_files
from koschey.inspection.dists.metadata_bounds import check_bounds
from koschey.inspection.dists.record import Digest, Row, check_record, read_record
from koschey.standards.versions import parse_version_or_none

DIST_INFO = ".dist-info"
REQUIRED = ("METADATA", "WHEEL", "RECORD")
READ = (*REQUIRED, "entry_points.txt")
"""Files in `*.dist-info` that are read whole."""
LIMITS = {"RECORD": 64 * MIB, "entry_points.txt": MAX_ENTRY_POINTS}
"""Maximum number of bytes of the files that have another limit than METADATA."""


@dataclass(slots=True)
class Wheel:
    """An opened wheel."""

    source: Source
    entries: tuple[ZipEntry, ...]
    files: dict[str, ZipEntry]
    dist_info: str
    """The one folder that describes the distribution, without a slash."""
    collector: Collector
    faults: Faults
    bodies: dict[str, bytes] = field(default_factory=dict)
    """Contents of the files in `READ`, by their names in the folder."""

    @property
    def filename(self) -> str:
        """The filename of the wheel."""
        return self.source.filename

    def place(self, name: str) -> str:
        """Return the name of a file in the folder, for messages."""
        return member_in(f"{self.dist_info}/{name}", self.filename)


def read_wheel(file: BinaryIO, filename: str, size: int, faults: Faults = STRICT) -> bytes:
    """Return the METADATA of a wheel. Raises `Refused` if it breaks a rule; tolerated faults are added to `faults`."""
    return _read(file, filename, size, faults).bodies["METADATA"]


def report_wheel(file: BinaryIO, filename: str, size: int) -> Content:
    """Return what a wheel contains. Raises `Refused` if it breaks a rule."""
    wheel = _read(file, filename, size, STRICT)
    return wheel.collector.finish(wheel.bodies["METADATA"], wheel.bodies.get("entry_points.txt"))


def _read(file: BinaryIO, filename: str, size: int, faults: Faults) -> Wheel:
    source = Source(file, filename, size)
    entries = read_entries(source, faults=faults)
    check_bomb(source, entries)
    files = {entry.name: entry for entry in entries if not entry.is_folder}
    dist_info = _find_dist_info(entries, filename)
    wheel = Wheel(source, entries, files, dist_info, Collector(is_wheel=True), faults)
    for rule in RULES:
        rule(wheel)
    return wheel


def _find_dist_info(entries: tuple[ZipEntry, ...], filename: str) -> str:
    tops = {entry.name.partition("/")[0] for entry in entries if entry.is_folder or "/" in entry.name}
    # On some systems a folder of another case is the same folder.
    found = sorted(top for top in tops if top.lower().endswith(DIST_INFO))
    if len(found) != 1 or not found[0].endswith(DIST_INFO):
        raise refusal(
            ArchiveRule.DIST_INFO, filename, f"has {len(found)} folders '*{DIST_INFO}'; a wheel has exactly one"
        )
    return found[0]


def _is_named_as_its_file(wheel: Wheel) -> None:
    project, version, _, _ = parse_wheel_filename(wheel.filename)
    name, _, stated = wheel.dist_info.removesuffix(DIST_INFO).rpartition("-")
    if canonicalize_name(name) != project or parse_version_or_none(stated) != version:
        raise refusal(
            ArchiveRule.DIST_INFO, wheel.filename, f"holds {shown(wheel.dist_info)}, which is of another release"
        )


def _is_complete(wheel: Wheel) -> None:
    for name in REQUIRED:
        if f"{wheel.dist_info}/{name}" not in wheel.files:
            raise refusal(ArchiveRule.DIST_INFO, wheel.filename, f"has no '{wheel.dist_info}/{name}'")


def _is_described_briefly(wheel: Wheel) -> None:
    for name in READ:
        if entry := wheel.files.get(f"{wheel.dist_info}/{name}"):
            limit = LIMITS.get(name, MAX_METADATA)
            if entry.inflated > limit:
                raise refusal(ArchiveRule.METADATA, wheel.place(name), f"is larger than {limit} bytes")
            wheel.bodies[name] = b"".join(inflate(wheel.source, entry))
    check_bounds(wheel.bodies["METADATA"], wheel.place("METADATA"))


def _has_a_valid_wheel_file(wheel: Wheel) -> None:
    place, headers = wheel.place("WHEEL"), BytesParser().parsebytes(wheel.bodies["WHEEL"], headersonly=True)
    versions, pure = headers.get_all("Wheel-Version", []), headers.get_all("Root-Is-Purelib", [])
    if len(versions) != 1 or versions[0].strip().partition(".")[0] != "1":
        fault = "does not state one 'Wheel-Version: 1.x'; installers support no other"
        raise refusal(ArchiveRule.WHEEL, place, fault)
    if len(pure) != 1 or pure[0].strip().lower() not in ("true", "false"):
        raise refusal(ArchiveRule.WHEEL, place, "does not state one 'Root-Is-Purelib' that is true or false")
    if not headers.get_all("Tag"):
        raise refusal(ArchiveRule.WHEEL, place, "states no 'Tag'")


def _has_valid_entry_points(wheel: Wheel) -> None:
    if (body := wheel.bodies.get("entry_points.txt")) is not None:
        check_entry_points(body, wheel.place("entry_points.txt"), wheel.faults)


def _has_its_licence_files(wheel: Wheel) -> None:
    folder = f"{wheel.dist_info}/licenses/"
    check_license_files(wheel.bodies["METADATA"], wheel.filename, folder, wheel.files)


def _holds_what_record_says(wheel: Wheel) -> None:
    place = wheel.place("RECORD")
    rows: dict[str, Row] = read_record(wheel.bodies["RECORD"], place)
    check_record(rows, wheel.files, place, wheel.dist_info)
    for entry in wheel.entries:
        digest = Digest(rows.get(entry.name))
        kind = "folder" if entry.is_folder else "file"
        for chunk in wheel.collector.watch(entry.name, kind, inflate(wheel.source, entry)):
            digest.update(chunk)
        digest.check(place)


RULES: tuple[Callable[[Wheel], None], ...] = (
    _is_named_as_its_file,
    _is_complete,
    _is_described_briefly,
    _has_a_valid_wheel_file,
    _has_valid_entry_points,
    _has_its_licence_files,
    _holds_what_record_says,
)
"""In the order in which they are tried; the slowest is the last. Add one here."""
