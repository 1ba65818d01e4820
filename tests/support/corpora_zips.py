"""A writer of ZIP files with full control of every field, and the corpus made with it: bad files and good ones."""

import base64
import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from koschey.inspection.archives.rules import ArchiveRule
from tests.support.archives import WHEEL, core_metadata

LOCAL = ("version", "flags", "method", "time", "date", "crc", "stored", "inflated", "name_length", "extra_length")
CENTRAL = (*("made_by", *LOCAL, "comment_length", "disk", "internal", "attributes", "offset"),)
END = ("disk", "first_disk", "here", "count", "size", "offset", "comment_length")
END64 = ("length", "made_by", "version", "disk", "first_disk", "here", "count", "size", "offset")
LOCATOR = ("disk", "position", "disks")
INFO = "thing-1.0.dist-info"
FILENAME = "thing-1.0-py3-none-any.whl"
MAX32 = 2**32 - 1

type Fields = dict[str, int]


@dataclass(frozen=True)
class Part:
    """A member, and the fields of its headers that are false."""

    name: bytes
    body: bytes = b""
    method: int = 8
    local: Fields = field(default_factory=dict)
    central: Fields = field(default_factory=dict)
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    raw: bytes | None = None
    """The data in the file; without it, the body, compressed."""
    after: bytes = b""
    """The bytes after the data: a data descriptor, or a gap."""

    def both(self, **fields: int) -> "Part":
        """Return the part with the same false fields in both headers."""
        return replace(self, local=self.local | fields, central=self.central | fields)

    @property
    def data(self) -> bytes:
        """The data in the file."""
        if self.raw is not None:
            return self.raw
        return deflate(self.body) if self.method == 8 else self.body


@dataclass(frozen=True)
class Frame:
    """The parts of a file other than its members."""

    prefix: bytes = b""
    before_directory: bytes = b""
    after_directory: bytes = b""
    end: Fields = field(default_factory=dict)
    comment: bytes = b""
    suffix: bytes = b""
    zip64: Fields | None = None
    """Fields of the ZIP64 end record, if there is one."""
    locator: Fields | None = field(default_factory=dict)
    zip64_tail: bytes = b""
    hidden: tuple[bytes, ...] = ()
    """Names that are missing only in the directory."""


def deflate(body: bytes) -> bytes:
    """The body, deflated without a header."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(body) + stream.flush()


def extra(kind: int, body: bytes, length: int | None = None) -> bytes:
    """An extra field."""
    return struct.pack("<HH", kind, len(body) if length is None else length) + body


def pack(signature: bytes, layout: str, names: Iterable[str], fields: Fields) -> bytes:
    """A record of named fields."""
    return signature + struct.pack(layout, *(fields[name] for name in names))


def write_zip(parts: Iterable[Part], frame: Frame | None = None) -> bytes:
    """The bytes of a ZIP file."""
    frame = frame or Frame()
    content, directory, count = bytearray(frame.prefix), b"", 0
    for part in parts:
        truth = _truth(part) | {"offset": len(content)}
        name = part.name if part.local_name is None else part.local_name
        local = truth | {"name_length": len(name), "extra_length": len(part.local_extra)} | part.local
        content += pack(b"PK\3\4", "<5H3L2H", LOCAL, local) + name + part.local_extra + part.data + part.after
        if part.name not in frame.hidden:
            central = truth | part.central
            directory += pack(b"PK\1\2", "<6H3L5H2L", CENTRAL, central) + part.name + part.central_extra + part.comment
            count += 1
    content += frame.before_directory
    offset = len(content)
    content += directory + frame.after_directory
    numbers = {"here": count, "count": count, "size": len(directory), "offset": offset}
    if frame.zip64 is not None:
        position = len(content)
        fields = numbers | {"length": 44, "made_by": 45, "version": 45, "disk": 0, "first_disk": 0} | frame.zip64
        content += pack(b"PK\6\6", "<Q2H2L4Q", END64, fields) + frame.zip64_tail
        if frame.locator is not None:
            locator = {"disk": 0, "position": position, "disks": 1} | frame.locator
            content += pack(b"PK\6\7", "<LQL", LOCATOR, locator)
    end = numbers | {"disk": 0, "first_disk": 0, "comment_length": len(frame.comment)} | frame.end
    return bytes(content + pack(b"PK\5\6", "<4H2LH", END, end) + frame.comment + frame.suffix)


def _truth(part: Part) -> Fields:
    return {
        "made_by": 0x314,
        "version": 20,
        "flags": 0 if part.name.isascii() else 0x800,
        "method": part.method,
        "time": 0,
        "date": 33,
        "crc": zlib.crc32(part.body),
        "stored": len(part.data),
        "inflated": len(part.body),
        "name_length": len(part.name),
        "extra_length": len(part.central_extra),
        "comment_length": len(part.comment),
        "disk": 0,
        "internal": 0,
        "attributes": (0o040755 << 16) | 0x10 if part.name.endswith(b"/") else 0o100644 << 16,
    }


def digest(body: bytes, algorithm: str = "sha256") -> str:
    """The digest as RECORD writes it."""
    return f"{algorithm}={base64.urlsafe_b64encode(hashlib.new(algorithm, body).digest()).rstrip(b'=').decode()}"


def record(bodies: Mapping[str, bytes]) -> bytes:
    """The RECORD of these files and of itself."""
    lines = [f"{path},{digest(body)},{len(body)}\n" for path, body in bodies.items()]
    return "".join([*lines, f"{INFO}/RECORD,,\n"]).encode()


def wheel_parts(*more: Part, **changes: bytes | None) -> list[Part]:
    """The members of a wheel whose RECORD is correct. `changes` replace files of `.dist-info`, or omit them if None."""
    bodies = {"METADATA": core_metadata("thing", "1.0"), "WHEEL": WHEEL.encode(), **changes}
    parts = [*more, *(Part(f"{INFO}/{name}".encode(), body) for name, body in bodies.items() if body is not None)]
    if "RECORD" not in changes:
        listed = {part.name.decode("utf-8", "replace"): part.body for part in parts if not part.name.endswith(b"/")}
        parts.append(Part(f"{INFO}/RECORD".encode(), record(listed)))
    return parts


A = Part(b"thing/a.py", b"answer = 42\n" * 9)
B = Part(b"thing/b.py", b"question = 'six by nine'\n")
LINK = 0o120777 << 16
ZIP64_EXTRA = extra(1, struct.pack("<QQ", len(A.body), len(A.data)))
INNER = write_zip(wheel_parts(Part(b"inner.py", b"inside = True\n")))


def whole(*parts: Part, **frame: object) -> bytes:
    """A wheel with these members before its `.dist-info`, in a frame with these faults."""
    return write_zip(wheel_parts(*parts), Frame(**frame))  # type: ignore[arg-type]


def but(part: Part, **fields: object) -> bytes:
    """A wheel with one changed member, of which RECORD is still correct."""
    parts = wheel_parts(part)
    return write_zip([replace(parts[0], **fields), *parts[1:]])  # type: ignore[arg-type]


def descriptor(*, crc: int | None = None, signature: bytes = b"PK\7\x08", wide: str = "L", stored: int = -1) -> bytes:
    """A wheel with a member whose sizes follow its data."""
    sizes = (len(A.data) if stored < 0 else stored, len(A.body))
    after = signature + struct.pack(f"<L2{wide}", zlib.crc32(A.body) if crc is None else crc, *sizes)
    local = {"flags": 8, "crc": 0, "stored": 0, "inflated": 0}
    return but(A, local=local, central={"flags": 8}, after=after)


def tar_too() -> bytes:
    """A wheel whose first 512 bytes are also a TAR header."""
    name = b"pad/" + b"x" * 470
    content = bytearray(whole(Part(name, b"")))
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    position = content.find(b"PK\1\2")
    # The entry in the directory repeats the name, which now contains the checksum.
    content[position + 46 + 118 : position + 46 + 126] = content[148:156]
    return bytes(content)


def overlapping() -> bytes:
    """Two entries of the directory that share one member's data: a bomb beyond deflate's compression ratio."""
    return whole(A, replace(A, name=b"thing/c.py", central={"offset": 0}))


def zeros(size: int) -> bytes:
    """A wheel with a file of zeros, deflated to a thousandth."""
    return whole(Part(b"thing/zeros", bytes(size)))


def spoofed(stated: int) -> bytes:
    """A wheel with a member that inflates to more than both its headers say."""
    return but(A, local={"inflated": stated}, central={"inflated": stated})


def truncated(size: int) -> bytes:
    """A wheel without its last bytes."""
    return whole(A)[:-size]


def second_end() -> bytes:
    """A complete second wheel after the first: a reader from the front and one from the end find different wheels."""
    return whole(A) + INNER


def _both(**fields: int) -> dict[str, Fields]:
    return {"local": fields, "central": fields}


def _unicode_path(name: bytes) -> bytes:
    return extra(0x7075, b"\1" + struct.pack("<L", zlib.crc32(A.name)) + name)


def _counted(record: bytes) -> bytes:
    """A wheel with a record at the end of the directory, which the directory's size includes."""
    plain = whole(A)
    size = int.from_bytes(plain[-10:-6], "little") + len(record)
    return whole(A, after_directory=record, end={"size": size})


def _only_locator() -> bytes:
    return whole(A, after_directory=bytes(56) + b"PK\6\7" + struct.pack("<LQL", 0, 0, 1))


def _quiet_bomb() -> bytes:
    body = bytes(100 * 2**20)
    return but(A, raw=deflate(body), **_both(stored=len(deflate(body))))


def _reordered() -> bytes:
    parts = wheel_parts(A, B)
    plain = write_zip(parts)
    offset = int.from_bytes(plain[-6:-2], "little")
    lines = [b"PK\1\2" + line for line in plain[offset:-22].split(b"PK\1\2")[1:]]
    return plain[:offset] + b"".join(reversed(lines)) + plain[-22:]


REJECTED: dict[str, tuple[Callable[[], bytes], ArchiveRule]] = {
    # The frame.
    "empty file": (lambda: b"", ArchiveRule.ZIP_LAYOUT),
    "no zip": (lambda: b"no zip at all, but long enough for an end", ArchiveRule.ZIP_LAYOUT),
    "truncated": (lambda: truncated(30), ArchiveRule.ZIP_TRAILING),
    "prefix": (lambda: whole(A, prefix=b"#!/bin/sh\n"), ArchiveRule.ZIP_LAYOUT),
    "prefix that begins as a zip": (lambda: INNER + whole(A), ArchiveRule.ZIP_LAYOUT),
    "prefix that offsets know not": (lambda: b"PK\3\4" + bytes(60) + whole(A), ArchiveRule.ZIP_LAYOUT),
    "suffix": (lambda: whole(A, suffix=b"\n"), ArchiveRule.ZIP_TRAILING),
    "second archive behind": (second_end, ArchiveRule.ZIP_LAYOUT),
    "second end record": (lambda: whole(A) + whole(A)[-22:], ArchiveRule.ZIP_LAYOUT),
    "end record in the end record": (lambda: whole(A, end={"offset": 0x06054B50}), ArchiveRule.ZIP_TRAILING),
    "comment": (lambda: whole(A, comment=b"built with love"), ArchiveRule.ZIP_TRAILING),
    "8-bit comment": (lambda: whole(A, comment=b"\xff\xfe"), ArchiveRule.ZIP_TRAILING),
    "zip in the comment": (lambda: whole(A, comment=INNER), ArchiveRule.ZIP_LAYOUT),
    "comment that is not there": (lambda: whole(A, end={"comment_length": 5}), ArchiveRule.ZIP_END),
    "second disk": (lambda: whole(A, end={"disk": 1}), ArchiveRule.ZIP_END),
    "two counts": (lambda: whole(A, end={"here": 1}), ArchiveRule.ZIP_END),
    "count too small": (lambda: whole(A, end={"here": 2, "count": 2}), ArchiveRule.ZIP_DIRECTORY),
    "count too large": (lambda: whole(A, end={"here": 9, "count": 9}), ArchiveRule.ZIP_DIRECTORY),
    "directory too short": (lambda: whole(A, end={"size": 50}), ArchiveRule.ZIP_LAYOUT),
    "directory elsewhere": (lambda: whole(A, end={"offset": 40}), ArchiveRule.ZIP_LAYOUT),
    "directory ends in a record": (
        lambda: write_zip([*wheel_parts(A)[:-1], replace(wheel_parts(A)[-1], central={"name_length": 200})]),
        ArchiveRule.ZIP_DIRECTORY,
    ),
    "gap before the directory": (lambda: whole(A, before_directory=bytes(9)), ArchiveRule.ZIP_LAYOUT),
    "bytes after the directory": (lambda: whole(A, after_directory=bytes(9)), ArchiveRule.ZIP_LAYOUT),
    "gap between members": (lambda: but(A, after=b"hidden"), ArchiveRule.ZIP_LAYOUT),
    "signature record": (lambda: _counted(b"PK\5\5" + struct.pack("<H", 4) + b"sign"), ArchiveRule.ZIP_DIRECTORY),
    "archive extra data": (lambda: whole(A, before_directory=b"PK\6\x08" + bytes(4)), ArchiveRule.ZIP_LAYOUT),
    "member missing in the directory": (lambda: whole(A, B, hidden=(B.name,)), ArchiveRule.ZIP_LAYOUT),
    "member missing in the file": (lambda: but(A, central={"offset": 10**6}), ArchiveRule.ZIP_LAYOUT),
    "offset within a member": (lambda: but(A, central={"offset": 4}), ArchiveRule.ZIP_LAYOUT),
    "overlapping members": (overlapping, ArchiveRule.ZIP_LAYOUT),
    "member longer than the file": (
        lambda: but(A, local={"stored": 10**6}, central={"stored": 10**6}),
        ArchiveRule.ZIP_LAYOUT,
    ),
    "also a tar": (tar_too, ArchiveRule.ZIP_TOO),
    # ZIP64.
    "zip64 end without locator": (lambda: whole(A, zip64={}, locator=None), ArchiveRule.ZIP_LAYOUT),
    "zip64 locator elsewhere": (lambda: whole(A, zip64={}, locator={"position": 0}), ArchiveRule.ZIP_64),
    "zip64 locator of two disks": (lambda: whole(A, zip64={}, locator={"disks": 2}), ArchiveRule.ZIP_64),
    "zip64 locator on another disk": (lambda: whole(A, zip64={}, locator={"disk": 1}), ArchiveRule.ZIP_64),
    "zip64 locator without end": (_only_locator, ArchiveRule.ZIP_64),
    "zip64 end with extensible data": (
        lambda: whole(A, zip64={"length": 52}, zip64_tail=bytes(8), locator={}),
        ArchiveRule.ZIP_64,
    ),
    "zip64 end of another length": (lambda: whole(A, zip64={"length": 45}), ArchiveRule.ZIP_64),
    "zip64 end of another count": (lambda: whole(A, zip64={"here": 3, "count": 3}), ArchiveRule.ZIP_64),
    "zip64 end of two counts": (lambda: whole(A, zip64={"here": 3}), ArchiveRule.ZIP_64),
    "zip64 end of another offset": (lambda: whole(A, zip64={"offset": 7}), ArchiveRule.ZIP_64),
    "zip64 end that counts otherwise": (
        lambda: whole(A, zip64={"here": 9, "count": 9}, end={"here": 65535, "count": 65535}),
        ArchiveRule.ZIP_DIRECTORY,
    ),
    "zip64 end that is missing": (lambda: whole(A, end={"offset": MAX32}), ArchiveRule.ZIP_64),
    "zip64 extra too short": (
        lambda: but(A, central={"inflated": MAX32, "extra_length": 8}, central_extra=extra(1, bytes(4))),
        ArchiveRule.ZIP_64,
    ),
    "zip64 extra too long": (
        lambda: but(A, central={"inflated": MAX32, "extra_length": 20}, central_extra=extra(1, bytes(16))),
        ArchiveRule.ZIP_64,
    ),
    "zip64 extra for nothing": (
        lambda: but(A, central={"extra_length": 20}, central_extra=ZIP64_EXTRA),
        ArchiveRule.ZIP_64,
    ),
    "zip64 extra missing": (lambda: but(A, central={"stored": MAX32}), ArchiveRule.ZIP_64),
    "zip64 extra missing in the file": (lambda: but(A, local={"stored": MAX32}), ArchiveRule.ZIP_64),
    "zip64 extra of one size": (
        lambda: but(A, local={"stored": MAX32}, local_extra=ZIP64_EXTRA[:2] + b"\x08\0" + ZIP64_EXTRA[4:12]),
        ArchiveRule.ZIP_64,
    ),
    "zip64 extra of other sizes": (lambda: but(A, local_extra=extra(1, struct.pack("<QQ", 5, 5))), ArchiveRule.ZIP_64),
    "zip64 extra of another compressed size": (
        lambda: but(
            A,
            local={"stored": MAX32, "inflated": MAX32},
            local_extra=extra(1, struct.pack("<QQ", len(A.body), len(A.data) + 1)),
        ),
        ArchiveRule.ZIP_DISAGREES,
    ),
    "zip64 extra twice": (lambda: but(A, local_extra=ZIP64_EXTRA * 2), ArchiveRule.ZIP_EXTRA),
    # Extra fields.
    "extra of three bytes": (lambda: but(A, local_extra=bytes(3)), ArchiveRule.ZIP_EXTRA),
    "extra shorter than it says": (lambda: but(A, local_extra=extra(0x5455, b"x", 9)), ArchiveRule.ZIP_EXTRA),
    "unicode path twice": (lambda: but(A, local_extra=_unicode_path(A.name) * 2), ArchiveRule.ZIP_EXTRA),
    "unicode path of another name": (lambda: but(A, local_extra=_unicode_path(b"evil.py")), ArchiveRule.ZIP_EXTRA),
    "unicode path in the directory": (
        lambda: but(A, central={"extra_length": 16}, central_extra=_unicode_path(b"evil.py")),
        ArchiveRule.ZIP_EXTRA,
    ),
    # Two headers that disagree.
    "another name in the file": (lambda: but(A, local_name=b"thing/x.py"), ArchiveRule.ZIP_DISAGREES),
    "another checksum in the file": (lambda: but(A, local={"crc": 1}), ArchiveRule.ZIP_DISAGREES),
    "another size in the file": (lambda: but(A, local={"inflated": 1}), ArchiveRule.ZIP_DISAGREES),
    "another compressed size in the file": (lambda: but(A, local={"stored": 1}), ArchiveRule.ZIP_DISAGREES),
    "another method in the file": (
        lambda: but(B, raw=B.body, local={"method": 0, "stored": 25}),
        ArchiveRule.ZIP_DISAGREES,
    ),
    "other flags in the file": (lambda: but(A, local={"flags": 2}), ArchiveRule.ZIP_DISAGREES),
    # One header.
    "data descriptor": (descriptor, ArchiveRule.ZIP_DESCRIPTOR),
    "data descriptor with a bad checksum": (lambda: descriptor(crc=7), ArchiveRule.ZIP_DESCRIPTOR),
    "data descriptor without a checksum": (lambda: descriptor(crc=0), ArchiveRule.ZIP_DESCRIPTOR),
    "data descriptor with a bad size": (lambda: descriptor(stored=5), ArchiveRule.ZIP_DESCRIPTOR),
    "data descriptor without signature": (lambda: descriptor(signature=b""), ArchiveRule.ZIP_DESCRIPTOR),
    "data descriptor of zip64": (lambda: descriptor(wide="Q"), ArchiveRule.ZIP_DESCRIPTOR),
    "encrypted": (lambda: but(A, local={"flags": 1}, central={"flags": 1}), ArchiveRule.ZIP_ENCRYPTED),
    "encrypted strongly": (lambda: but(A, local={"flags": 64}, central={"flags": 64}), ArchiveRule.ZIP_ENCRYPTED),
    "masked headers": (lambda: but(A, local={"flags": 8192}, central={"flags": 8192}), ArchiveRule.ZIP_ENCRYPTED),
    "patched data": (lambda: but(A, local={"flags": 32}, central={"flags": 32}), ArchiveRule.ZIP_FLAGS),
    "lzma": (lambda: whole(A.both(method=14)), ArchiveRule.ZIP_METHOD),
    "zstandard": (lambda: whole(A.both(method=93)), ArchiveRule.ZIP_METHOD),
    "stored with two sizes": (lambda: whole(replace(A, method=0).both(inflated=5)), ArchiveRule.ZIP_METHOD),
    "version of the future": (lambda: whole(A.both(version=63)), ArchiveRule.ZIP_VERSION),
    "comment of a member": (lambda: whole(replace(A, comment=b"PK\5\6")), ArchiveRule.ZIP_COMMENT),
    "member on another disk": (lambda: but(A, central={"disk": 1}), ArchiveRule.ZIP_DIRECTORY),
    "symbolic link": (lambda: but(A, central={"attributes": LINK}), ArchiveRule.ZIP_KIND),
    "symbolic link made on DOS": (lambda: but(A, central={"attributes": LINK, "made_by": 20}), ArchiveRule.ZIP_KIND),
    "named pipe": (lambda: but(A, central={"attributes": 0o010644 << 16}), ArchiveRule.ZIP_KIND),
    "folder by mode, file by name": (lambda: but(A, central={"attributes": 0o040755 << 16}), ArchiveRule.ZIP_KIND),
    "folder of DOS, file by name": (lambda: but(A, central={"attributes": 0x10}), ArchiveRule.ZIP_KIND),
    "folder with content": (
        lambda: whole(Part(b"thing/", b"x")),
        ArchiveRule.ZIP_KIND,
    ),
    # Names.
    "name that is not UTF-8": (
        lambda: but(A, name=b"thing/\xff.py", local_name=b"thing/\xff.py"),
        ArchiveRule.ZIP_ENCODING,
    ),
    "name of an unknown encoding": (lambda: whole(Part("ü.py".encode()).both(flags=0)), ArchiveRule.ZIP_ENCODING),
    "absolute name": (lambda: whole(Part(b"/etc/passwd")), ArchiveRule.NAME),
    "name of a parent": (lambda: whole(Part(b"thing/../../x.py")), ArchiveRule.NAME),
    "backslash": (lambda: whole(Part(b"thing\\x.py")), ArchiveRule.NAME),
    "drive": (lambda: whole(Part(b"C:/x.py")), ArchiveRule.NAME),
    "NUL in a name": (lambda: whole(Part(b"thing/x.py\0.txt")), ArchiveRule.NAME),
    "line break in a name": (lambda: whole(Part(b"thing/x\n.py")), ArchiveRule.NAME),
    "text that turns around": (lambda: whole(Part("thing/\u202eyp.x".encode())), ArchiveRule.NAME),
    "dot in a name": (lambda: whole(Part(b"thing/./x.py")), ArchiveRule.NAME),
    "empty part of a name": (lambda: whole(Part(b"thing//x.py")), ArchiveRule.NAME),
    "empty name": (lambda: whole(Part(b"")), ArchiveRule.NAME),
    "name without measure": (lambda: whole(Part(b"a/" * 20_000 + b"x.py")), ArchiveRule.NAME),
    "part of a name without measure": (lambda: whole(Part(b"thing/" + b"x" * 256)), ArchiveRule.NAME),
    "duplicate": (lambda: whole(A, A), ArchiveRule.DUPLICATE),
    "duplicate with other content": (lambda: whole(A, replace(B, name=A.name)), ArchiveRule.DUPLICATE),
    "duplicate METADATA": (lambda: whole(Part(f"{INFO}/METADATA".encode(), b"x")), ArchiveRule.DUPLICATE),
    "twins in case": (lambda: whole(A, replace(A, name=b"thing/A.py")), ArchiveRule.TWINS),
    "twins in form": (lambda: whole(Part("é.py".encode()), Part("e\u0301.py".encode())), ArchiveRule.TWINS),
    "file as a folder": (lambda: whole(A, replace(B, name=A.name + b"/b.py")), ArchiveRule.FILE_AS_FOLDER),
    "folder as a file": (lambda: whole(replace(B, name=b"thing/b.py/c.py"), B), ArchiveRule.FILE_AS_FOLDER),
    # Content.
    "longer than it says": (lambda: spoofed(5), ArchiveRule.ZIP_CONTENT),
    "shorter than it says": (lambda: spoofed(5000), ArchiveRule.ZIP_CONTENT),
    "another checksum": (lambda: whole(A.both(crc=7)), ArchiveRule.ZIP_CONTENT),
    "no deflated data": (lambda: but(A, raw=b"\xff" * 20, **_both(stored=20)), ArchiveRule.ZIP_CONTENT),
    "data that ends early": (lambda: but(A, raw=A.data[:-4], **_both(stored=len(A.data) - 4)), ArchiveRule.ZIP_CONTENT),
    "data after the data": (
        lambda: but(A, raw=A.data + b"x", **_both(stored=len(A.data) + 1)),
        ArchiveRule.ZIP_CONTENT,
    ),
    "bomb": (lambda: zeros(100 * 2**20), ArchiveRule.BOMB),
    "bomb that promises little": (_quiet_bomb, ArchiveRule.ZIP_CONTENT),
    "bomb that promises much": (
        lambda: whole(A.both(inflated=MAX32 - 1), B.both(inflated=MAX32 - 1)),
        ArchiveRule.BOMB,
    ),
}
"""By the fault: the bytes, and the rule that must refuse them."""

FOLDER = Part(b"thing/", method=0)

ACCEPTED: dict[str, Callable[[], bytes]] = {
    "plain": lambda: whole(A, B),
    "stored": lambda: write_zip([replace(part, method=0) for part in wheel_parts(A, B)]),
    "one of each": lambda: whole(A, replace(B, method=0)),
    "folders": lambda: whole(FOLDER, A),
    "folder after its files": lambda: whole(A, FOLDER),
    "deflated folder": lambda: whole(replace(FOLDER, method=8), A),
    "name beyond ASCII": lambda: whole(Part("thing/zażółć.txt".encode(), b"ok")),
    "name that says UTF-8": lambda: whole(A.both(flags=0x800)),
    "hard deflate": lambda: whole(A.both(flags=2)),
    "no modes": lambda: whole(replace(A, central={"attributes": 0, "made_by": 20})),
    "executable": lambda: whole(replace(A, central={"attributes": 0o100755 << 16})),
    "times of Unix": lambda: whole(
        replace(A, local_extra=extra(0x5455, bytes(5)), central_extra=extra(0x5455, bytes(5)))
    ),
    "unicode path that repeats the name": lambda: whole(replace(A, local_extra=_unicode_path(A.name))),
    "zip64 end": lambda: whole(A, zip64={}),
    "zip64 end that alone knows": lambda: whole(
        A, zip64={}, end={"offset": MAX32, "size": MAX32, "here": 65535, "count": 65535}
    ),
    "zip64 sizes": lambda: whole(
        replace(A, local={"stored": MAX32, "inflated": MAX32, "version": 45}, local_extra=ZIP64_EXTRA)
    ),
    "zip64 sizes repeated as bazel does": lambda: whole(replace(A, local_extra=ZIP64_EXTRA)),
    "zip64 in the directory": lambda: whole(
        replace(A, central={"stored": MAX32, "inflated": MAX32}, central_extra=ZIP64_EXTRA)
    ),
    "directory in another order": _reordered,
    "zip in a zip": lambda: write_zip(wheel_parts(A, Part(b"thing/inner.zip", INNER, method=0))),
    "nested bomb that stays packed": lambda: whole(Part(b"thing/bomb.zip", zeros(70 * 2**20), method=0)),
    "empty file": lambda: whole(Part(b"thing/__init__.py", b"", method=0), Part(b"thing/x.py", b"")),
    "zeros that are few": lambda: zeros(2**20),
}
"""Files that honest tools write, or could write."""
