"""The names of the rules: every refusal of an archive begins with one of them, so that it can be found and counted.

A refusal is one line: the rule, the place, what is wrong, what to do. The modules beside this one hold the rules.
"""

from enum import StrEnum

from koschey.errors import Refused

REBUILD = "Build it again with a current build tool, and upload exactly what that wrote."
LONGEST = 200
"""Maximum number of characters of a name that a message repeats."""


class ArchiveRule(StrEnum):
    """The rules for archives, by the phrase with which their refusals begin."""

    # The frame of a ZIP.
    ZIP_END = "ZIP end record"
    ZIP_TRAILING = "Trailing data"
    ZIP_64 = "ZIP64"
    ZIP_DIRECTORY = "ZIP directory"
    ZIP_LAYOUT = "ZIP layout"
    ZIP_DISAGREES = "ZIP headers disagree"
    ZIP_TOO = "Also a TAR archive"
    # One entry of a ZIP.
    ZIP_DESCRIPTOR = "Data descriptor"
    ZIP_ENCRYPTED = "Encrypted"
    ZIP_FLAGS = "ZIP flags"
    ZIP_METHOD = "Compression method"
    ZIP_VERSION = "ZIP version"
    ZIP_COMMENT = "ZIP comment"
    ZIP_EXTRA = "ZIP extra field"
    ZIP_ENCODING = "Encoding of a name"
    ZIP_KIND = "Not a plain file"
    ZIP_CONTENT = "ZIP content"
    # Both.
    NAME = "Unsafe name"
    DUPLICATE = "Duplicate name"
    TWINS = "Names that some systems cannot tell apart"
    FILE_AS_FOLDER = "File used as a folder"
    TOO_MANY = "Too many members"
    BOMB = "Decompression bomb"
    METADATA = "Metadata file"
    LICENSE_FILE = "License-File"
    # What makes a ZIP a wheel.
    DIST_INFO = "Folder .dist-info"
    WHEEL = "WHEEL"
    RECORD = "RECORD"
    ENTRY_POINTS = "entry_points.txt"
    # The frame of a compressed TAR, its members, and what makes it an sdist.
    SDIST = "sdist"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    TAR_TOO = "Also a ZIP archive"
    TAR_HEADER = "TAR header"
    TAR_PAX = "TAR extended header"
    TAR_END = "TAR end"
    TAR_SPARSE = "Sparse member"
    TAR_KIND = "Kind of member"
    TAR_LINK = "Link"
    ROOT = "One top folder"


def refusal(rule: ArchiveRule, place: str, fault: str, remedy: str = REBUILD) -> Refused:
    """Return the error for a broken rule; `place` is a filename, or a member as `member_in` names it."""
    return Refused(f"{rule}: {place} {fault}. {remedy}")


def shown(name: str | bytes) -> str:
    """Quote an untrusted text in ASCII, shortened."""
    quoted = ascii(name)
    return quoted if len(quoted) <= LONGEST else f"{quoted[:LONGEST]}..."


def member_in(name: str | bytes, filename: str) -> str:
    """Return the name of a member of an archive, for messages."""
    return f"{shown(name)} in {filename}"
