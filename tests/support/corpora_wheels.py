"""Wheels that are valid ZIP files with a wrong RECORD, WHEEL, entry point, licence or name; and good ones."""

import hashlib
from collections.abc import Callable, Mapping

from koschey.inspection.archives.rules import ArchiveRule
from tests.support.archives import WHEEL, core_metadata
from tests.support.corpora_zips import INFO, Part, digest, wheel_parts, write_zip

CODE = Part(b"thing/a.py", b"answer = 42\n")
LICENSED = core_metadata("thing", "1.0").replace(b"2.1\n", b"2.4\n", 1).replace(b"\n\n", b"\nLicense-File: LICENSE\n\n")
RIGHT: Mapping[str, str] = {
    "thing/a.py": f"{digest(CODE.body)},{len(CODE.body)}",
    f"{INFO}/METADATA": f"{digest(core_metadata('thing', '1.0'))},{len(core_metadata('thing', '1.0'))}",
    f"{INFO}/WHEEL": f"{digest(WHEEL.encode())},{len(WHEEL)}",
    f"{INFO}/RECORD": ",",
}
"""The rows of a correct RECORD: digest and size, by path."""


def recorded(rows: Mapping[str, str | None], *, tail: str = "", more: tuple[Part, ...] = ()) -> bytes:
    """A wheel of CODE whose RECORD has these rows instead of the correct ones; None omits one."""
    lines = [f"{path},{row}\n" for path, row in {**RIGHT, **rows}.items() if row is not None]
    return write_zip(wheel_parts(CODE, *more, RECORD=("".join(lines) + tail).encode()))


def code_row(row: str | None) -> bytes:
    """A wheel with this row for its code in RECORD."""
    return recorded({"thing/a.py": row})


def scripts(text: str | bytes, group: str = "console_scripts") -> bytes:
    """A wheel with these entry points."""
    body = text if isinstance(text, bytes) else f"[{group}]\n{text}\n".encode()
    return write_zip(wheel_parts(CODE, Part(f"{INFO}/entry_points.txt".encode(), body)))


def described(text: str) -> bytes:
    """A wheel with this text as its WHEEL file."""
    return write_zip(wheel_parts(CODE, WHEEL=text.encode()))


def renamed(old: bytes, new: bytes) -> bytes:
    """A wheel whose `.dist-info` has another name."""
    parts = wheel_parts(CODE)
    return write_zip([Part(part.name.replace(old, new), part.body.replace(old, new)) for part in parts])


def lacking(name: str) -> bytes:
    """A wheel without a file of `.dist-info`."""
    return write_zip(wheel_parts(CODE, **{name: None}))


SHA = digest(CODE.body)
REJECTED: dict[str, tuple[Callable[[], bytes], ArchiveRule]] = {
    # RECORD.
    "missing": (lambda: lacking("RECORD"), ArchiveRule.DIST_INFO),
    "empty": (lambda: write_zip(wheel_parts(CODE, RECORD=b"")), ArchiveRule.RECORD),
    "not UTF-8": (lambda: write_zip(wheel_parts(CODE, RECORD=b"\xff,,\n")), ArchiveRule.RECORD),
    "unclosed quote": (lambda: recorded({}, tail='"thing/b.py,,\n'), ArchiveRule.RECORD),
    "two columns": (lambda: recorded({}, tail="thing/b.py,\n"), ArchiveRule.RECORD),
    "four columns": (lambda: recorded({}, tail="thing/b.py,,,\n"), ArchiveRule.RECORD),
    "blank row": (lambda: recorded({}, tail="\n"), ArchiveRule.RECORD),
    "row missing": (lambda: code_row(None), ArchiveRule.RECORD),
    "METADATA missing": (lambda: recorded({f"{INFO}/METADATA": None}), ArchiveRule.RECORD),
    "row left over": (lambda: recorded({"thing/b.py": f"{SHA},12"}), ArchiveRule.RECORD),
    "row of a folder": (lambda: recorded({"thing/": ","}, more=(Part(b"thing/", method=0),)), ArchiveRule.RECORD),
    "row of a parent": (lambda: recorded({"../../bin/x": f"{SHA},12"}), ArchiveRule.RECORD),
    "absolute row": (lambda: recorded({"/etc/passwd": f"{SHA},12"}), ArchiveRule.RECORD),
    "row by another spelling": (
        lambda: recorded({"thing/./a.py": f"{SHA},12", "thing/a.py": None}),
        ArchiveRule.RECORD,
    ),
    "row by backslashes": (lambda: recorded({"thing\\a.py": f"{SHA},12", "thing/a.py": None}), ArchiveRule.RECORD),
    "row twice": (lambda: recorded({}, tail=f"thing/a.py,{SHA},12\n"), ArchiveRule.RECORD),
    "another digest": (lambda: code_row(f"{digest(b'other')},12"), ArchiveRule.RECORD),
    "another size": (lambda: code_row(f"{SHA},13"), ArchiveRule.RECORD),
    "size that is no number": (lambda: code_row(f"{SHA},12.0"), ArchiveRule.RECORD),
    "digest of METADATA wrong": (lambda: recorded({f"{INFO}/METADATA": f"{SHA},12"}), ArchiveRule.RECORD),
    "no digest": (lambda: code_row(",12"), ArchiveRule.RECORD),
    "algorithm without digest": (lambda: code_row("sha256=,12"), ArchiveRule.RECORD),
    "md5": (lambda: code_row(f"{digest(CODE.body, 'md5')},12"), ArchiveRule.RECORD),
    "sha1": (lambda: code_row(f"{digest(CODE.body, 'sha1')},12"), ArchiveRule.RECORD),
    "another hexadecimal digest": (lambda: code_row("sha256=" + "0" * 64 + ",12"), ArchiveRule.RECORD),
    "padded digest": (lambda: code_row(f"{SHA}=,12"), ArchiveRule.RECORD),
    "digest of itself": (lambda: recorded({f"{INFO}/RECORD": f"{SHA},12"}), ArchiveRule.RECORD),
    "signature that is not there": (lambda: recorded({f"{INFO}/RECORD.jws": ","}), ArchiveRule.RECORD),
    "signature elsewhere": (lambda: recorded({}, more=(Part(b"thing/RECORD.jws", b"x"),)), ArchiveRule.RECORD),
    "signature with another digest": (
        lambda: recorded({f"{INFO}/RECORD.jws": f"{SHA},12"}, more=(Part(f"{INFO}/RECORD.jws".encode(), b"x"),)),
        ArchiveRule.RECORD,
    ),
    # Entry points.
    "script elsewhere": (lambda: scripts("../../x = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "script in a folder": (lambda: scripts("bin/x = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "script by a backslash": (lambda: scripts("..\\x = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "script with a space": (lambda: scripts("my script = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "script with a plus": (lambda: scripts("g++ = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "script on a drive": (lambda: scripts("C:x = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "script with a stream": (lambda: scripts("x:y = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "script that turns around": (lambda: scripts("x\u202ey = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "script of a dot and a space": (lambda: scripts(". . = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "script of dots": (lambda: scripts(".. = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    "window elsewhere": (lambda: scripts("../x = thing.a:main", "gui_scripts"), ArchiveRule.ENTRY_POINTS),
    "script without a function": (lambda: scripts("x = thing.a"), ArchiveRule.ENTRY_POINTS),
    "script of code": (lambda: scripts("x = thing.a:main(); import os"), ArchiveRule.ENTRY_POINTS),
    "script hidden in the next line": (
        lambda: scripts("x = thing.a:main\n  ../y = thing.a:main"),
        ArchiveRule.ENTRY_POINTS,
    ),
    "entry points that are not UTF-8": (lambda: scripts(b"[a]\nb = \xff:c\n"), ArchiveRule.ENTRY_POINTS),
    "entry points without a group": (lambda: scripts(b"a = b:c\n"), ArchiveRule.ENTRY_POINTS),
    "entry points that are no INI": (lambda: scripts("what is this"), ArchiveRule.ENTRY_POINTS),
    "entry point twice": (lambda: scripts("x = thing.a:main\nx = thing.a:other"), ArchiveRule.ENTRY_POINTS),
    "entry points that are huge": (lambda: scripts("x = thing.a:main\n" * 2**16), ArchiveRule.METADATA),
    "entry point without measure": (lambda: scripts(" " * 2**16), ArchiveRule.ENTRY_POINTS),
    "group twice": (lambda: scripts("x = thing.a:main\n[console_scripts]\ny = thing.a:main"), ArchiveRule.ENTRY_POINTS),
    # WHEEL.
    "WHEEL missing": (lambda: lacking("WHEEL"), ArchiveRule.DIST_INFO),
    "WHEEL empty": (lambda: described(""), ArchiveRule.WHEEL),
    "WHEEL of the future": (lambda: described(WHEEL.replace("1.0", "2.0", 1)), ArchiveRule.WHEEL),
    "WHEEL of two versions": (lambda: described("Wheel-Version: 1.9\n" + WHEEL), ArchiveRule.WHEEL),
    "WHEEL that is neither pure nor not": (lambda: described(WHEEL.replace("true", "perhaps")), ArchiveRule.WHEEL),
    "WHEEL that is both": (lambda: described("Root-Is-Purelib: false\n" + WHEEL), ArchiveRule.WHEEL),
    "WHEEL without tags": (lambda: described(WHEEL.partition("Tag")[0]), ArchiveRule.WHEEL),
    # METADATA and licences.
    "no METADATA": (lambda: lacking("METADATA"), ArchiveRule.DIST_INFO),
    "METADATA that is huge": (
        lambda: write_zip(wheel_parts(METADATA=core_metadata("thing", "1.0") + b"x" * 11 * 2**20)),
        ArchiveRule.METADATA,
    ),
    "METADATA of too many fields": (
        lambda: write_zip(wheel_parts(METADATA=LICENSED[:-1] + b"Requires-Dist: b\n" * 200_000 + b"\n")),
        ArchiveRule.METADATA,
    ),
    "METADATA of too many names": (
        lambda: write_zip(wheel_parts(METADATA=LICENSED[:-1] + b"".join(b"X-%d: y\n" % n for n in range(20_000)))),
        ArchiveRule.METADATA,
    ),
    "licence missing": (lambda: write_zip(wheel_parts(CODE, METADATA=LICENSED)), ArchiveRule.LICENSE_FILE),
    "licence elsewhere": (
        lambda: write_zip(wheel_parts(Part(f"{INFO}/LICENSE".encode()), METADATA=LICENSED)),
        ArchiveRule.LICENSE_FILE,
    ),
    "licence that leads out": (
        lambda: write_zip(wheel_parts(CODE, METADATA=LICENSED.replace(b": LICENSE", b": ../METADATA"))),
        ArchiveRule.LICENSE_FILE,
    ),
    # The folder.
    "no folder": (lambda: write_zip([CODE]), ArchiveRule.DIST_INFO),
    "two folders": (lambda: write_zip(wheel_parts(Part(b"other-2.0.dist-info/METADATA", b"x"))), ArchiveRule.DIST_INFO),
    "empty second folder": (
        lambda: write_zip(wheel_parts(Part(b"other-2.0.dist-info/", method=0))),
        ArchiveRule.DIST_INFO,
    ),
    "second folder in another case": (
        lambda: write_zip(wheel_parts(Part(b"Thing-1.0.DIST-INFO/OTHER", b"x"))),
        ArchiveRule.DIST_INFO,
    ),
    "folder in another case": (lambda: renamed(b".dist-info", b".Dist-Info"), ArchiveRule.DIST_INFO),
    "folder of another project": (lambda: renamed(b"thing-1.0.", b"other-1.0."), ArchiveRule.DIST_INFO),
    "folder of another version": (lambda: renamed(b"thing-1.0.", b"thing-2.0."), ArchiveRule.DIST_INFO),
    "folder of no version": (lambda: renamed(b"thing-1.0.", b"thing-one."), ArchiveRule.DIST_INFO),
}
"""By the fault: the bytes, and the rule that must refuse them."""

JWS = Part(f"{INFO}/RECORD.jws".encode(), b"signed")

ACCEPTED: dict[str, Callable[[], bytes]] = {
    "plain": lambda: recorded({}),
    "sha384": lambda: code_row(f"{digest(CODE.body, 'sha384')},12"),
    "sha512": lambda: code_row(f"{digest(CODE.body, 'sha512')},12"),
    "hexadecimal": lambda: code_row(f"sha256={hashlib.sha256(CODE.body).hexdigest()},12"),
    "no size": lambda: code_row(f"{SHA},"),
    "no row of itself": lambda: recorded({f"{INFO}/RECORD": None}),
    "quoted": lambda: recorded({"thing/a.py": None}, tail=f'"thing/a.py",{SHA},12\r\n'),
    "signature that is not listed": lambda: recorded({}, more=(JWS,)),
    "signature without a digest": lambda: recorded({f"{INFO}/RECORD.jws": ","}, more=(JWS,)),
    "signature with its digest": lambda: recorded({f"{INFO}/RECORD.jws": f"{digest(b'signed')},6"}, more=(JWS,)),
    "folder": lambda: recorded({}, more=(Part(b"thing/", method=0),)),
    "comma in a name": lambda: recorded(
        {}, tail=f'"thing/a,b.txt",{digest(b"x")},1\n', more=(Part(b"thing/a,b.txt", b"x"),)
    ),
    "scripts": lambda: scripts(
        "thing = thing.a:main\nthing-1.x_y = thing.a:Main.run [extra]\n\n[other]\nany thing = x"
    ),
    "indented entry points": lambda: scripts("    a = thing.a:main\n    b = thing.a:main\n"),
    "no entry points": lambda: scripts(b""),
    "WHEEL with a build and CRLF": lambda: described(WHEEL.replace("\n", "\r\n") + "Build: 1\r\n"),
    "folder of another spelling": lambda: renamed(b"thing-1.0.", b"Thing-1.0.0."),
    "licence": lambda: write_zip(wheel_parts(Part(f"{INFO}/licenses/LICENSE".encode()), METADATA=LICENSED)),
    "licence of old metadata": lambda: write_zip(wheel_parts(CODE, METADATA=LICENSED.replace(b"2.4\n", b"2.1\n", 1))),
}
"""Files that honest tools write, or could write."""
