"""The rules for the headers of one member of a ZIP file, so that no two tools understand them differently."""

import stat
import zlib
from collections.abc import Callable

from koschey.inspection.archives.rules import ArchiveRule, refusal
from koschey.inspection.archives.zip.records import EXTRA_UNICODE_PATH, Header

ENCRYPTED, DESCRIPTOR, STRONG_ENCRYPTION, UTF8, MASKED = 0x1, 0x8, 0x40, 0x800, 0x2000
HARMLESS = 0x2 | 0x4 | UTF8
"""Flags for the effort of deflate, and for a name in UTF-8 (APPNOTE 4.4.4)."""
STORED, DEFLATED = 0, 8
MAX_VERSION = 45
"""4.5: ZIP64. Higher versions are for compression and encryption that installers lack (APPNOTE 4.4.3)."""
DOS_FOLDER = 0x10


def read_name(header: Header) -> str:
    """Return the name, with a folder's slash. Raises `Refused` if tools would decode it differently."""
    try:
        name = header.raw_name.decode()
    except UnicodeDecodeError:
        raise refusal(ArchiveRule.ZIP_ENCODING, header.place, "has a name that is not UTF-8") from None
    if not name.isascii() and not header.flags & UTF8:
        raise refusal(
            ArchiveRule.ZIP_ENCODING, header.place, "has a name beyond ASCII, and does not say that it is UTF-8"
        )
    return name


def _is_not_encrypted(header: Header) -> None:
    if header.flags & (ENCRYPTED | STRONG_ENCRYPTION | MASKED):
        raise refusal(ArchiveRule.ZIP_ENCRYPTED, header.place, "is encrypted", "Upload it without encryption.")


def _has_no_descriptor(header: Header) -> None:
    if header.flags & DESCRIPTOR:
        fault = "has its sizes after its data, and tools do not find them there in the same way"
        raise refusal(ArchiveRule.ZIP_DESCRIPTOR, header.place, fault)


def _has_known_flags(header: Header) -> None:
    if header.flags & ~HARMLESS:
        raise refusal(
            ArchiveRule.ZIP_FLAGS, header.place, f"has the flags 0x{header.flags:04x}, not all of which are known"
        )


def _is_stored_or_deflated(header: Header) -> None:
    if header.method not in (STORED, DEFLATED):
        fault = f"is compressed by method {header.method}; installers read 0 (stored) and 8 (deflate)"
        raise refusal(ArchiveRule.ZIP_METHOD, header.place, fault)
    if header.method == STORED and header.stored != header.inflated:
        raise refusal(ArchiveRule.ZIP_METHOD, header.place, "is not compressed, and has two sizes")


def _is_of_known_version(header: Header) -> None:
    if header.version > MAX_VERSION:
        fault = f"needs version {header.version} of the format; installers read up to {MAX_VERSION}"
        raise refusal(ArchiveRule.ZIP_VERSION, header.place, fault)


def _has_one_name(header: Header) -> None:
    extra = dict(header.extras).get(EXTRA_UNICODE_PATH)
    if extra is not None and extra != b"\1" + zlib.crc32(header.raw_name).to_bytes(4, "little") + header.raw_name:
        raise refusal(ArchiveRule.ZIP_EXTRA, header.place, "has another name in its extra field 0x7075")


def _has_no_comment(header: Header) -> None:
    if header.comment:
        raise refusal(ArchiveRule.ZIP_COMMENT, header.place, "has a comment, in which other records could hide")


def _is_on_the_one_disk(header: Header) -> None:
    if header.disk:
        raise refusal(ArchiveRule.ZIP_DIRECTORY, header.place, f"places it on disk {header.disk}; a wheel is one file")


def _is_file_or_folder(header: Header) -> None:
    is_folder, kind = header.raw_name.endswith(b"/"), stat.S_IFMT(header.attributes >> 16)
    if kind not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG) or (
        header.attributes & DOS_FOLDER and not is_folder
    ):
        fault = "is neither a plain file nor a folder by its mode; installers handle it in different ways"
        raise refusal(ArchiveRule.ZIP_KIND, header.place, fault, "Replace links by the files they lead to.")
    if is_folder and header.inflated:
        raise refusal(ArchiveRule.ZIP_KIND, header.place, "is a folder by its name, and has content")


def _agree(local: Header, central: Header) -> None:
    for field in ("raw_name", "flags", "method", "crc", "stored", "inflated"):
        here, there = getattr(local, field), getattr(central, field)
        if here != there:
            fault = f"says {field.replace('_', ' ')} {here!a}, and the directory says {there!a}"[:500]
            raise refusal(ArchiveRule.ZIP_DISAGREES, local.place, fault)


HEADER_RULES: tuple[Callable[[Header], None], ...] = (
    _is_not_encrypted,
    _has_no_descriptor,
    _has_known_flags,
    _is_stored_or_deflated,
    _is_of_known_version,
    _has_one_name,
)
"""For both headers of a member, in this order; add one here."""

CENTRAL_RULES: tuple[Callable[[Header], None], ...] = (_has_no_comment, _is_on_the_one_disk, _is_file_or_folder)
"""For fields that only the directory has."""

PAIR_RULES: tuple[Callable[[Header, Header], None], ...] = (_agree,)
"""For the local header and the directory's entry."""
