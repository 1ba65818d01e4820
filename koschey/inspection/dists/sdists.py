"""The rules for sdists (PEP 517, 625): the archive is read once, member by member, and nothing is ever extracted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from koschey.inspection.archives.collector import Collector
from koschey.inspection.archives.content import Content
from koschey.inspection.archives.limits import MAX_METADATA
from koschey.inspection.archives.member_names import DRIVE, Names
from koschey.inspection.archives.rules import ArchiveRule, member_in, refusal
from koschey.inspection.archives.tar.headers import FILE, FOLDER, HARD_LINK, SYMBOLIC_LINK, TarHeader
from koschey.inspection.dists.license_files import check_license_files
from koschey.inspection.dists.metadata_bounds import check_bounds
from koschey.inspection.dists.sdist_archives import read_archive
from koschey.standards.sdist_filename import sdist_suffix

NAMES_OF_KINDS = {FILE: "file", FOLDER: "folder", HARD_LINK: "link", SYMBOLIC_LINK: "link"}
KINDS = tuple(NAMES_OF_KINDS)
RELINK = "Replace the link by the file it leads to."


@dataclass(slots=True)
class Sdist:
    """What is known of an sdist while its members are read."""

    filename: str
    names: Names
    root: str | None = None
    files: set[str] = field(default_factory=set)
    """Names of plain files: the allowed targets of hard links."""


def read_sdist(file: BinaryIO, filename: str, size: int) -> bytes:
    """Return the PKG-INFO of an sdist. Raises `Refused` if it breaks a rule."""
    return _read(file, filename, size, Collector(is_wheel=False))


def report_sdist(file: BinaryIO, filename: str, size: int) -> Content:
    """Return what an sdist contains. Raises `Refused` if it breaks a rule."""
    collector = Collector(is_wheel=False)
    return collector.finish(_read(file, filename, size, collector))


def _read(file: BinaryIO, filename: str, size: int, collector: Collector) -> bytes:
    # Unlike a wheel, an sdist is not what is installed, and names in tests do sometimes differ only in case.
    sdist, body = Sdist(filename, Names(filename, twins=True)), None
    for member, chunks in read_archive(file, filename, size):
        for rule in RULES:
            rule(sdist, member)
        passing = collector.watch(member.name, NAMES_OF_KINDS[member.kind], chunks)
        if member.name == f"{sdist.root}/PKG-INFO":
            body = _read_metadata(passing, member, filename)
        else:
            for _ in passing:
                pass
    if body is None:
        root = sdist.root or filename.removesuffix(sdist_suffix(filename) or "")
        raise refusal(ArchiveRule.METADATA, filename, f"has no '{root}/PKG-INFO'")
    check_license_files(body, filename, f"{sdist.root}/", sdist.names)
    return body


def _read_metadata(passing: Iterator[bytes], member: TarHeader, filename: str) -> bytes:
    if member.kind != FILE or member.size > MAX_METADATA:
        fault = f"is not a plain file, or is larger than {MAX_METADATA} bytes"
        raise refusal(ArchiveRule.METADATA, member_in(member.name, filename), fault)
    body = b"".join(passing)
    check_bounds(body, member_in(member.name, filename))
    return body


def _is_of_known_kind(sdist: Sdist, member: TarHeader) -> None:
    place = member_in(member.name, sdist.filename)
    if member.kind not in KINDS:
        fault = f"is of the kind {member.kind!a}; an sdist has files, folders and links, and no devices"
        raise refusal(ArchiveRule.TAR_KIND, place, fault, "Leave it out, and build again.")
    if member.kind != FILE and member.size:
        raise refusal(
            ArchiveRule.TAR_KIND, place, "is not a file, but has content, which some tools skip and some do not"
        )
    if member.kind == FILE and member.name.endswith("/"):
        raise refusal(ArchiveRule.TAR_KIND, place, "is a file with the name of a folder")


def _has_its_own_place(sdist: Sdist, member: TarHeader) -> None:
    name = member.name.removesuffix("/") if member.kind == FOLDER else member.name
    sdist.names.add(name, is_folder=member.kind == FOLDER)
    if member.kind == FILE:
        sdist.files.add(name)


def _is_below_one_root(sdist: Sdist, member: TarHeader) -> None:
    root, _, below = member.name.partition("/")
    sdist.root = sdist.root or root
    if root != sdist.root or (not below and member.kind != FOLDER):
        fault = f"is not below {sdist.root!a}; an sdist has one folder at its top, and all else in it"
        raise refusal(ArchiveRule.ROOT, member_in(member.name, sdist.filename), fault)


def _links_to_a_file(sdist: Sdist, member: TarHeader) -> None:
    """A hard link names an earlier file, by its path in the archive. One to a symbolic link could lead anywhere."""
    if member.kind == HARD_LINK and member.link not in sdist.files:
        fault = "is a hard link that does not lead to an earlier file in the archive"
        raise refusal(ArchiveRule.TAR_LINK, member_in(member.name, sdist.filename), fault, RELINK)


def _links_within_the_root(sdist: Sdist, member: TarHeader) -> None:
    """A symbolic link starts from its own folder, which is a real one: `Names` allows nothing below a link.

    '..' may only come first. After another link, it would lead up from the target of that link.
    """
    if member.kind != SYMBOLIC_LINK:
        return
    parts = member.link.split("/")
    ups = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    leads_out = ups >= member.name.count("/") or ".." in parts[ups:] or member.link.startswith("/")
    if leads_out or not member.link or "\\" in member.link or DRIVE.match(member.link):
        fault = "is a symbolic link that leads out of the archive's folder"
        raise refusal(ArchiveRule.TAR_LINK, member_in(member.name, sdist.filename), fault, RELINK)


RULES: tuple[Callable[[Sdist, TarHeader], None], ...] = (
    _is_of_known_kind,
    _has_its_own_place,
    _is_below_one_root,
    _links_to_a_file,
    _links_within_the_root,
)
"""Each sees every member, in this order; add one here."""
