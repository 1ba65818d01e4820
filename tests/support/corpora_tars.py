"""A writer of TAR files with full control of every header, and the corpus made with it: bad files and good ones."""

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Callable

from koschey.inspection.archives.rules import ArchiveRule
from tests.support.archives import core_metadata
from tests.support.corpora_zips import INNER

FILENAME = "thing-1.0.tar.gz"
ROOT = b"thing-1.0"
END = bytes(1024)
POSIX, GNU = b"ustar\x0000", b"ustar  \0"


def header(
    name: bytes,
    size: int | bytes = 0,
    *,
    kind: bytes = b"0",
    link: bytes = b"",
    magic: bytes = POSIX,
    prefix: bytes = b"",
    mtime: bytes = b"0" * 11 + b"\0",
    checksum: int | None = None,
) -> bytes:
    """One block with a header."""
    stated = b"%011o\0" % size if isinstance(size, int) else size
    head = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + stated + mtime
    tail = kind + link.ljust(100, b"\0") + magic + bytes(80) + prefix.ljust(155, b"\0") + bytes(12)
    total = sum(head) + sum(tail) + 256 if checksum is None else checksum
    return head + b"%06o\0 " % total + tail


def content(body: bytes) -> bytes:
    """Content, padded to whole blocks."""
    return body + bytes(-len(body) % 512)


def member(name: bytes, body: bytes = b"", **fields: object) -> bytes:
    """A header and its content."""
    return header(name, len(body), **fields) + content(body)  # type: ignore[arg-type]


def pax(*records: tuple[str, str], kind: bytes = b"x") -> bytes:
    """An extended header."""
    return member(b"pax", b"".join(pax_record(key, value) for key, value in records), kind=kind)


def pax_record(key: str, value: str) -> bytes:
    """One line, which begins with its own length."""
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


INFO = member(b"thing-1.0/PKG-INFO", core_metadata("thing", "1.0"))
FILE = member(b"thing-1.0/a.py", b"answer = 42\n")
A = b"thing-1.0/a.py"


def packed(*blocks: bytes, end: bytes = END, level: int = 6) -> bytes:
    """A gzipped TAR of PKG-INFO and these blocks."""
    return gzip.compress(b"".join([INFO, *blocks, end]), level, mtime=0)


def raw(*blocks: bytes) -> bytes:
    """A gzipped TAR of only these blocks."""
    return gzip.compress(b"".join(blocks), 6, mtime=0)


def symlink(name: bytes, target: bytes) -> bytes:
    """A symbolic link."""
    return header(name, kind=b"2", link=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    """A hard link."""
    return header(name, kind=b"1", link=target)


def base256(value: int) -> bytes:
    """A number in GNU's base-256 form."""
    return (b"\x80" if value >= 0 else b"\xff") + (value % 2**88).to_bytes(11, "big")


def zeros(size: int) -> bytes:
    """A gzipped TAR of almost only zeros. One piece is compressed once, and repeated."""
    head, piece, count = INFO + header(b"thing-1.0/zeros", size), bytes(2**20), size // 2**20
    checksum = zlib.crc32(head)
    for _ in range(count):
        checksum = zlib.crc32(piece, checksum)
    tail = struct.pack("<LL", zlib.crc32(END, checksum), (len(head) + size + len(END)) % 2**32)
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = stream.compress(head) + stream.flush(zlib.Z_FULL_FLUSH)
    # A decoder needs nothing from before a full flush to read what follows it.
    data += (stream.compress(piece) + stream.flush(zlib.Z_FULL_FLUSH)) * count
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + data + stream.compress(END) + stream.flush() + tail


def endless() -> bytes:
    """An extended header whose size leads back to itself: some versions of tarfile loop endlessly."""
    return packed(header(b"pax", base256(-512), kind=b"x"), FILE)


def old_sparse() -> bytes:
    """GNU's oldest form of a sparse file: a map in the header."""
    return packed(member(A, b"x" * 512, kind=b"S", magic=GNU))


def stored_zip() -> bytes:
    """A gzip file whose last bytes are, uncompressed, those of a ZIP file."""
    return packed(member(b"thing-1.0/data.zip", INNER), level=0)


def zip_appended() -> bytes:
    """A gzip file, followed by a ZIP file."""
    return packed(FILE) + INNER


def by_tarfile(form: int) -> bytes:
    """A TAR written by the standard library, with names that need each format's extensions."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as archive:
        for name, body in (
            ("thing-1.0/PKG-INFO", core_metadata("thing", "1.0")),
            ("thing-1.0/src/" + "long/" * 15 + "n.py", b"x" * 700),
            ("thing-1.0/zażółć.txt", b"ok"),
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uname = len(body), 1.5 if form == tarfile.PAX_FORMAT else 1, "ü"
            archive.addfile(info, io.BytesIO(body))
        folder = tarfile.TarInfo("thing-1.0/empty")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return buffer.getvalue()


def longest(name: bytes) -> bytes:
    """GNU's header for a long name."""
    return member(b"././@LongLink", name + b"\0", kind=b"L", magic=GNU)


def padded(body: bytes, more: bytes, **fields: object) -> bytes:
    """An extended header with bytes in the padding of its block."""
    fields = {"kind": b"x"} | fields
    return header(b"pax", len(body), **fields) + content(body + more)  # type: ignore[arg-type]


SPARSE = ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "thing-1.0/a.py")

REJECTED: dict[str, tuple[Callable[[], bytes], ArchiveRule]] = {
    # gzip.
    "empty file": (lambda: b"", ArchiveRule.GZIP),
    "no gzip": (lambda: b"no tar at all", ArchiveRule.GZIP),
    "zip by another name": (lambda: INNER, ArchiveRule.TAR_TOO),
    "plain tar": (lambda: INFO + END, ArchiveRule.GZIP),
    "truncated": (lambda: packed(FILE)[:-100], ArchiveRule.GZIP),
    "truncated checksum": (lambda: packed(FILE)[:-5], ArchiveRule.GZIP),
    "another checksum": (lambda: packed(FILE)[:-8] + bytes(8), ArchiveRule.GZIP),
    "trailing bytes": (lambda: packed(FILE) + b"x", ArchiveRule.GZIP),
    "trailing zeros": (lambda: packed(FILE) + bytes(512), ArchiveRule.GZIP),
    "second gzip member": (lambda: packed(FILE) + gzip.compress(b"", mtime=0), ArchiveRule.GZIP),
    "tar in two gzip members": (
        lambda: gzip.compress(INFO, mtime=0) + gzip.compress(FILE + END, mtime=0),
        ArchiveRule.GZIP,
    ),
    "zip behind": (zip_appended, ArchiveRule.TAR_TOO),
    "zip at the end": (stored_zip, ArchiveRule.TAR_TOO),
    "bomb of a gibibyte": (lambda: zeros(2**30), ArchiveRule.BOMB),
    # The frame.
    "no tar": (lambda: raw(b"no tar at all" * 99), ArchiveRule.TAR_HEADER),
    "short block": (lambda: raw(b"no tar at all"), ArchiveRule.TAR_END),
    "nothing": (lambda: raw(END), ArchiveRule.METADATA),
    "no end": (lambda: packed(FILE, end=b""), ArchiveRule.TAR_END),
    "one block at the end": (lambda: packed(FILE, end=bytes(512)), ArchiveRule.TAR_END),
    "part of a block at the end": (lambda: packed(FILE, end=bytes(1300)), ArchiveRule.TAR_END),
    "members after the end": (lambda: packed(END, FILE), ArchiveRule.TAR_END),
    "text after the end": (lambda: packed(FILE, end=END + b"x" * 512), ArchiveRule.TAR_END),
    "member longer than the archive": (lambda: packed(header(A, 5000), end=b""), ArchiveRule.TAR_END),
    "another checksum of a header": (lambda: packed(header(A, checksum=1)), ArchiveRule.TAR_HEADER),
    "unknown format": (lambda: packed(header(A, magic=b"MUSTAR00")), ArchiveRule.TAR_HEADER),
    "prefix that the format lacks": (lambda: packed(header(A, magic=GNU, prefix=b"evil")), ArchiveRule.TAR_HEADER),
    "name that is not UTF-8": (lambda: packed(header(b"thing-1.0/\xff")), ArchiveRule.TAR_HEADER),
    "negative size": (lambda: packed(header(A, base256(-512))), ArchiveRule.TAR_HEADER),
    "size in GNU's form": (lambda: packed(header(A, base256(12)), content(b"answer = 42\n")), ArchiveRule.TAR_HEADER),
    "size that is no number": (lambda: packed(header(A, b"12 345 67\0\0\0")), ArchiveRule.TAR_HEADER),
    "size with a sign": (lambda: packed(header(A, b"-0000000777\0")), ArchiveRule.TAR_HEADER),
    "time that is no number": (lambda: packed(header(A, mtime=b"yesterday!!\0")), ArchiveRule.TAR_HEADER),
    "endless loop": (endless, ArchiveRule.TAR_HEADER),
    # Extended headers.
    "pax size": (lambda: packed(pax(("size", "0")), FILE), ArchiveRule.TAR_PAX),
    "negative pax size": (lambda: packed(pax(("size", "-512")), FILE), ArchiveRule.TAR_PAX),
    "pax size that is no number": (lambda: packed(pax(("size", "12.0")), FILE), ArchiveRule.TAR_PAX),
    "pax path twice": (
        lambda: packed(pax(("path", "thing-1.0/b"), ("path", "thing-1.0/c")), FILE),
        ArchiveRule.TAR_PAX,
    ),
    "pax path with NUL": (lambda: packed(pax(("path", "thing-1.0/b\0c")), FILE), ArchiveRule.TAR_PAX),
    "pax path out of the root": (lambda: packed(pax(("path", "../b")), FILE), ArchiveRule.NAME),
    "pax link out of the root": (
        lambda: packed(pax(("linkpath", "../../b")), symlink(b"thing-1.0/l", b"a.py")),
        ArchiveRule.TAR_LINK,
    ),
    "pax charset": (lambda: packed(pax(("hdrcharset", "BINARY")), FILE), ArchiveRule.TAR_PAX),
    "pax record longer than its header": (
        lambda: packed(member(b"p", b"99 path=x\n", kind=b"x"), FILE),
        ArchiveRule.TAR_PAX,
    ),
    "pax record of no length": (lambda: packed(member(b"p", b"0 path=x\n", kind=b"x"), FILE), ArchiveRule.TAR_PAX),
    "pax record that is none": (lambda: packed(member(b"p", b"path\n", kind=b"x"), FILE), ArchiveRule.TAR_PAX),
    "pax text that is not UTF-8": (
        lambda: packed(member(b"p", b"10 path=\xff\n", kind=b"x"), FILE),
        ArchiveRule.TAR_HEADER,
    ),
    "pax record after the end": (
        lambda: packed(padded(pax_record("comment", "x"), pax_record("path", "../../x")), FILE),
        ArchiveRule.TAR_PAX,
    ),
    "pax header longer than the archive": (lambda: packed(header(b"p", 5000, kind=b"x"), end=b""), ArchiveRule.TAR_END),
    "long name after its end": (
        lambda: packed(padded(b"thing-1.0/b", b"/../../x", kind=b"L", magic=GNU), FILE),
        ArchiveRule.TAR_PAX,
    ),
    "pax header that is huge": (lambda: packed(member(b"p", bytes(2**21), kind=b"x"), FILE), ArchiveRule.TAR_PAX),
    "pax header twice": (lambda: packed(pax(("mtime", "1")), pax(("mtime", "2")), FILE), ArchiveRule.TAR_PAX),
    "pax header for nothing": (lambda: packed(FILE, pax(("path", "thing-1.0/b"))), ArchiveRule.TAR_PAX),
    "pax header for all": (lambda: packed(pax(("path", "thing-1.0/b"), kind=b"g"), FILE), ArchiveRule.TAR_PAX),
    "pax size for all": (lambda: packed(pax(("size", "0"), kind=b"g"), FILE), ArchiveRule.TAR_PAX),
    "long name twice": (lambda: packed(longest(b"thing-1.0/b"), longest(b"thing-1.0/c"), FILE), ArchiveRule.TAR_PAX),
    "long name and pax path": (
        lambda: packed(longest(b"thing-1.0/b"), pax(("path", "thing-1.0/c")), FILE),
        ArchiveRule.TAR_PAX,
    ),
    "long name with a second one": (lambda: packed(longest(b"thing-1.0/b\0thing-1.0/c"), FILE), ArchiveRule.TAR_PAX),
    "long name that is not UTF-8": (lambda: packed(longest(b"thing-1.0/\xff"), FILE), ArchiveRule.TAR_PAX),
    "long name for nothing": (lambda: packed(FILE, longest(b"thing-1.0/b")), ArchiveRule.TAR_PAX),
    # Holes.
    "sparse by GNU's old form": (old_sparse, ArchiveRule.TAR_SPARSE),
    "sparse by pax 0.0": (
        lambda: packed(pax(("GNU.sparse.size", "9"), ("GNU.sparse.offset", "0")), FILE),
        ArchiveRule.TAR_SPARSE,
    ),
    "sparse by pax 0.1": (
        lambda: packed(pax(("GNU.sparse.map", "0,9"), ("GNU.sparse.size", "9")), FILE),
        ArchiveRule.TAR_SPARSE,
    ),
    "sparse by pax 1.0": (lambda: packed(pax(*SPARSE, ("GNU.sparse.realsize", "9")), FILE), ArchiveRule.TAR_SPARSE),
    "sparse name alone": (lambda: packed(pax(("GNU.sparse.name", "thing-1.0/b")), FILE), ArchiveRule.TAR_SPARSE),
    # Members.
    "character device": (lambda: packed(header(A, kind=b"3")), ArchiveRule.TAR_KIND),
    "block device": (lambda: packed(header(A, kind=b"4")), ArchiveRule.TAR_KIND),
    "named pipe": (lambda: packed(header(A, kind=b"6")), ArchiveRule.TAR_KIND),
    "contiguous file": (lambda: packed(header(A, kind=b"7")), ArchiveRule.TAR_KIND),
    "volume label": (lambda: packed(header(A, kind=b"V", magic=GNU)), ArchiveRule.TAR_KIND),
    "part of another volume": (lambda: packed(header(A, kind=b"M", magic=GNU)), ArchiveRule.TAR_KIND),
    "kind of Solaris": (lambda: packed(header(A, kind=b"X")), ArchiveRule.TAR_KIND),
    "folder with content": (lambda: packed(member(b"thing-1.0/b/", b"x", kind=b"5")), ArchiveRule.TAR_KIND),
    "link with content": (lambda: packed(member(b"thing-1.0/b", b"x", kind=b"2", link=b"a.py")), ArchiveRule.TAR_KIND),
    "file named as a folder": (lambda: packed(member(b"thing-1.0/b/", b"x")), ArchiveRule.TAR_KIND),
    "absolute name": (lambda: packed(member(b"/etc/passwd")), ArchiveRule.NAME),
    "name of a parent": (lambda: packed(member(b"thing-1.0/../../x")), ArchiveRule.NAME),
    "name of a parent in the prefix": (lambda: packed(member(b"x", prefix=b"..")), ArchiveRule.NAME),
    "backslash": (lambda: packed(member(b"thing-1.0\\x")), ArchiveRule.NAME),
    "drive": (lambda: packed(member(b"C:/x")), ArchiveRule.NAME),
    "line break in a name": (lambda: packed(member(b"thing-1.0/x\ny")), ArchiveRule.NAME),
    "dot": (lambda: packed(member(b"./thing-1.0/x")), ArchiveRule.NAME),
    "empty name": (lambda: packed(member(b"")), ArchiveRule.NAME),
    "name without measure": (lambda: packed(pax(("path", "thing-1.0/" + "a/" * 20_000 + "b")), FILE), ArchiveRule.NAME),
    "duplicate": (lambda: packed(FILE, FILE), ArchiveRule.DUPLICATE),
    "duplicate PKG-INFO": (lambda: packed(INFO), ArchiveRule.DUPLICATE),
    "duplicate by a long name": (lambda: packed(FILE, longest(A), member(b"thing-1.0/b")), ArchiveRule.DUPLICATE),
    "folder and file of one name": (lambda: packed(FILE, header(A + b"/", kind=b"5")), ArchiveRule.DUPLICATE),
    "file as a folder": (lambda: packed(FILE, member(A + b"/b")), ArchiveRule.FILE_AS_FOLDER),
    "second folder at the top": (lambda: packed(member(b"other/x")), ArchiveRule.ROOT),
    "file at the top": (lambda: packed(member(b"PKG-INFO")), ArchiveRule.ROOT),
    "root that is a file": (lambda: raw(member(ROOT), END), ArchiveRule.ROOT),
    "root that is a link": (lambda: raw(symlink(ROOT, b"/etc"), END), ArchiveRule.ROOT),
    # Links.
    "symbolic link to the root": (lambda: packed(symlink(b"thing-1.0/l", b"/etc/passwd")), ArchiveRule.TAR_LINK),
    "symbolic link to a parent": (lambda: packed(symlink(b"thing-1.0/l", b"../x")), ArchiveRule.TAR_LINK),
    "symbolic link to far parents": (lambda: packed(symlink(b"thing-1.0/a/b/l", b"../../../x")), ArchiveRule.TAR_LINK),
    "symbolic link down and up": (lambda: packed(symlink(b"thing-1.0/l", b"a/../../x")), ArchiveRule.TAR_LINK),
    "symbolic link through another": (
        lambda: packed(symlink(b"thing-1.0/a/l", b"."), symlink(b"thing-1.0/m", b"a/l/../../x")),
        ArchiveRule.TAR_LINK,
    ),
    "symbolic link with a backslash": (lambda: packed(symlink(b"thing-1.0/l", b"..\\x")), ArchiveRule.TAR_LINK),
    "symbolic link to a drive": (lambda: packed(symlink(b"thing-1.0/l", b"C:x")), ArchiveRule.TAR_LINK),
    "symbolic link to nothing": (lambda: packed(symlink(b"thing-1.0/l", b"")), ArchiveRule.TAR_LINK),
    "member below a link": (
        lambda: packed(symlink(b"thing-1.0/l", b"sub"), member(b"thing-1.0/l/x")),
        ArchiveRule.FILE_AS_FOLDER,
    ),
    "link above a member": (
        lambda: packed(member(b"thing-1.0/l/x"), symlink(b"thing-1.0/l", b"sub")),
        ArchiveRule.FILE_AS_FOLDER,
    ),
    "hard link out of the root": (lambda: packed(hard_link(b"thing-1.0/l", b"../x")), ArchiveRule.TAR_LINK),
    "absolute hard link": (lambda: packed(hard_link(b"thing-1.0/l", b"/etc/passwd")), ArchiveRule.TAR_LINK),
    "hard link to nothing": (lambda: packed(hard_link(b"thing-1.0/l", b"thing-1.0/none")), ArchiveRule.TAR_LINK),
    "hard link to what follows": (lambda: packed(hard_link(b"thing-1.0/l", A), FILE), ArchiveRule.TAR_LINK),
    "hard link to a symbolic link": (
        lambda: packed(symlink(b"thing-1.0/s", b"a.py"), FILE, hard_link(b"thing-1.0/l", b"thing-1.0/s")),
        ArchiveRule.TAR_LINK,
    ),
    "hard link to a folder": (
        lambda: packed(header(b"thing-1.0/d/", kind=b"5"), hard_link(b"thing-1.0/l", b"thing-1.0/d")),
        ArchiveRule.TAR_LINK,
    ),
    # What makes it an sdist.
    "no PKG-INFO": (lambda: raw(FILE, END), ArchiveRule.METADATA),
    "PKG-INFO elsewhere": (lambda: raw(member(b"thing-1.0/src/PKG-INFO", b"x"), END), ArchiveRule.METADATA),
    "PKG-INFO that is a link": (lambda: raw(FILE, symlink(b"thing-1.0/PKG-INFO", b"a.py"), END), ArchiveRule.METADATA),
    "PKG-INFO that is a hard link": (lambda: raw(FILE, hard_link(b"thing-1.0/PKG-INFO", A), END), ArchiveRule.METADATA),
    "PKG-INFO that is huge": (
        lambda: raw(member(b"thing-1.0/PKG-INFO", core_metadata("thing", "1.0") + b"x" * 11 * 2**20), END),
        ArchiveRule.METADATA,
    ),
    "licence that is missing": (
        lambda: raw(member(b"thing-1.0/PKG-INFO", licensed("LICENSE")), FILE, END),
        ArchiveRule.LICENSE_FILE,
    ),
    "licence that is elsewhere": (
        lambda: raw(member(b"thing-1.0/PKG-INFO", licensed("../LICENSE")), member(b"thing-1.0/LICENSE"), END),
        ArchiveRule.LICENSE_FILE,
    ),
}
"""By the fault: the bytes, and the rule that must refuse them."""

ACCEPTED: dict[str, Callable[[], bytes]] = {
    "plain": lambda: packed(FILE),
    "tarfile's ustar": lambda: by_tarfile(tarfile.USTAR_FORMAT),
    "tarfile's pax": lambda: by_tarfile(tarfile.PAX_FORMAT),
    "tarfile's GNU": lambda: by_tarfile(tarfile.GNU_FORMAT),
    "old format": lambda: packed(member(A, b"x", magic=bytes(8), kind=b"\0")),
    "folders": lambda: raw(header(ROOT + b"/", kind=b"5"), INFO, header(b"thing-1.0/d", kind=b"5"), END),
    "commit of git archive": lambda: raw(pax(("comment", "0" * 40), kind=b"g"), INFO, FILE, END),
    "pax size that repeats the header": lambda: packed(pax(("size", "12")), FILE),
    "attributes of macOS": lambda: packed(pax(("LIBARCHIVE.xattr.com.apple.x", "AA"), ("SCHILY.dev", "1")), FILE),
    "long name": lambda: packed(longest(b"thing-1.0/" + b"n" * 200), member(b"thing-1.0/" + b"n" * 90)),
    "large numbers in GNU's form": lambda: packed(member(A, b"x", magic=GNU, mtime=base256(-1))),
    "symbolic link beside": lambda: packed(FILE, symlink(b"thing-1.0/l", b"a.py")),
    "symbolic link up and down": lambda: packed(FILE, symlink(b"thing-1.0/x/y/l", b"../../a.py")),
    "hard link": lambda: packed(FILE, hard_link(b"thing-1.0/l", A)),
    "twins in case": lambda: packed(FILE, member(b"thing-1.0/A.py")),
    "end filled to a record": lambda: packed(FILE, end=bytes(10240)),
    "zeros that are few": lambda: zeros(2**20 * 8),
    "licence": lambda: raw(member(b"thing-1.0/PKG-INFO", licensed("LICENSE")), member(b"thing-1.0/LICENSE"), END),
}
"""Files that honest tools write, or could write."""


def licensed(path: str) -> bytes:
    """Metadata that names a licence file."""
    return (
        core_metadata("thing", "1.0")
        .replace(b"2.1\n", b"2.4\n", 1)
        .replace(b"\n\n", f"\nLicense-File: {path}\n\n".encode())
    )
