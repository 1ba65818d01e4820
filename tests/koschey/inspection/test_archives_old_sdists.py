"""Sdists in the formats of before PEP 625: each read as strictly as a `.tar.gz`, and as installers read it."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Mapping

import pytest

from koschey.errors import Refused
from koschey.inspection.archives.limits import MIB
from koschey.inspection.archives.rules import ArchiveRule
from koschey.standards.sdist_filename import OLD_SUFFIXES, split_sdist_filename
from tests.support import corpora_tars, corpora_zips
from tests.support.archives import core_metadata
from tests.support.corpora_tars import FILE, INFO, packed
from tests.support.corpora_zips import INNER, Part, write_zip
from tests.support.facts import content_of_bytes
from tests.support.inspection import assert_refused, inspect_bytes, inspect_here

type Compress = Callable[[bytes], bytes]

PACKERS: Mapping[str, Compress] = {
    "thing-1.0.tgz": lambda body: gzip.compress(body, mtime=0),
    "thing-1.0.tar.bz2": bz2.compress,
    "thing-1.0.tar.xz": lzma.compress,
}
OF_GZIP = (ArchiveRule.GZIP, ArchiveRule.TAR_TOO, ArchiveRule.BOMB)
"""Rules that are about the compression, and not about the TAR file in it."""
OF_WHEELS = (ArchiveRule.TWINS,)
"""Rules that sdists do not have."""
TARS = sorted(name for name, (_, rule) in corpora_tars.REJECTED.items() if rule not in OF_GZIP)
ZIPS = sorted(name for name, (_, rule) in corpora_zips.REJECTED.items() if rule not in OF_WHEELS)
ZIP = "thing-1.0.zip"


def zipped(*parts: Part) -> bytes:
    """A ZIP file of PKG-INFO and these members."""
    return write_zip([Part(b"thing-1.0/PKG-INFO", core_metadata("thing", "1.0")), *parts])


@pytest.mark.parametrize("filename", PACKERS)
@pytest.mark.parametrize("case", TARS)
def test_hostile_tar_is_refused_in_every_compression(case: str, filename: str) -> None:
    """B11: What is refused of a `.tar.gz` is refused of the others, by the same rule."""
    content, rule = corpora_tars.REJECTED[case]
    assert_refused(filename, PACKERS[filename](gzip.decompress(content())), rule)


@pytest.mark.parametrize("case", ZIPS)
def test_ambiguous_zip_is_refused_as_an_sdist(case: str) -> None:
    """B10: What is refused of a wheel's frame is refused of an sdist's."""
    content, rule = corpora_zips.REJECTED[case]
    assert_refused(ZIP, content(), rule)


def by_distutils(form: str) -> bytes:
    """What the standard library writes, as distutils let it."""
    members = {"PKG-INFO": core_metadata("thing", "1.0"), "setup.py": b"from setuptools import setup\n", "ü.txt": b""}
    buffer = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("thing-1.0")
            for name, body in members.items():
                archive.writestr(f"thing-1.0/{name}", body)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode=f"w:{form}") as tar:  # type: ignore[call-overload]
        for name, body in members.items():
            info = tarfile.TarInfo(f"thing-1.0/{name}")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


@pytest.mark.parametrize(("suffix", "form"), [(".zip", "zip"), (".tar.bz2", "bz2"), (".tgz", "gz"), (".tar.xz", "xz")])
async def test_old_sdist_is_read(suffix: str, form: str) -> None:
    """PKG-INFO of each format is found, and the report of a mirrored one lists what is in it."""
    content, filename = by_distutils(form), f"thing-1.0{suffix}"
    found = await inspect_bytes(filename, content)
    assert (found.project, str(found.version), found.metadata) == ("thing", "1.0", core_metadata("thing", "1.0"))
    report = content_of_bytes(filename, content)
    assert report.refused is None
    assert {member.name for member in report.members} >= {"thing-1.0/PKG-INFO", "thing-1.0/setup.py", "thing-1.0/ü.txt"}
    assert report.hooks == ("setup.py",)
    assert suffix in OLD_SUFFIXES


@pytest.mark.parametrize(
    ("filename", "content", "rule"),
    [
        ("thing-1.0.tar.bz2", bz2.compress(INFO + FILE + bytes(1024))[:-20], ArchiveRule.BZIP2),
        ("thing-1.0.tar.bz2", bz2.compress(INFO + FILE + bytes(1024)) + b"x", ArchiveRule.BZIP2),
        ("thing-1.0.tar.bz2", bz2.compress(INFO) + bz2.compress(FILE + bytes(1024)), ArchiveRule.BZIP2),
        ("thing-1.0.tar.bz2", packed(FILE), ArchiveRule.BZIP2),
        ("thing-1.0.tar.bz2", b"", ArchiveRule.BZIP2),
        ("thing-1.0.tar.bz2", bz2.compress(INFO + FILE + bytes(1024)) + INNER, ArchiveRule.TAR_TOO),
        ("thing-1.0.tar.bz2", bz2.compress(INFO + bytes(100 * MIB)), ArchiveRule.BOMB),
        ("thing-1.0.tar.xz", lzma.compress(INFO + FILE + bytes(1024))[:-20], ArchiveRule.XZ),
        ("thing-1.0.tar.xz", lzma.compress(INFO + FILE + bytes(1024)) + b"x", ArchiveRule.XZ),
        ("thing-1.0.tar.xz", lzma.compress(INFO) + lzma.compress(FILE + bytes(1024)), ArchiveRule.XZ),
        ("thing-1.0.tar.xz", lzma.compress(INFO + FILE + bytes(1024), lzma.FORMAT_ALONE), ArchiveRule.XZ),
        ("thing-1.0.tar.xz", bz2.compress(INFO), ArchiveRule.XZ),
        ("thing-1.0.tar.xz", lzma.compress(INFO + bytes(100 * MIB)), ArchiveRule.BOMB),
        ("thing-1.0.tgz", bz2.compress(INFO + FILE + bytes(1024)), ArchiveRule.GZIP),
        (ZIP, packed(FILE), ArchiveRule.ZIP_LAYOUT),
        (ZIP, zipped(Part(b"other/x")), ArchiveRule.ROOT),
        (ZIP, zipped(Part(b"README")), ArchiveRule.ROOT),
        (ZIP, write_zip([Part(b"thing-1.0/setup.py")]), ArchiveRule.METADATA),
        (ZIP, zipped(Part(b"thing-1.0/zeros", bytes(100 * MIB))), ArchiveRule.BOMB),
        ("thing-1.0.egg", zipped(), ArchiveRule.SDIST),
        ("thing-1.0.tar", INFO + FILE + bytes(1024), ArchiveRule.SDIST),
    ],
)
def test_fault_of_a_format_is_refused(filename: str, content: bytes, rule: ArchiveRule) -> None:
    """Cut off, prolonged, of another format, or nearly nothing but zeros: each has its rule."""
    assert_refused(filename, content, rule)


async def test_xz_that_needs_much_memory_is_refused() -> None:
    """A dictionary of more than any preset has is not allocated."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 512 * MIB}]
    content = lzma.compress(INFO + FILE + bytes(1024), lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(Refused, match=r"^xz: thing-1\.0\.tar\.xz cannot be inflated"):
        await inspect_bytes("thing-1.0.tar.xz", content)


@pytest.mark.parametrize(
    ("filename", "project", "split"),
    [
        ("my_pkg-1.0.tar.gz", "my-pkg", ("my-pkg", "1.0")),
        ("My.Pkg-1.0.zip", "my-pkg", ("my-pkg", "1.0")),
        ("my-pkg-1.0.tar.bz2", "my-pkg", ("my-pkg", "1.0")),
        ("my-pkg-1.0-1.tar.gz", "my-pkg", ("my-pkg", "1.0.post1")),
        ("my-pkg-1.0-beta.tgz", "my-pkg", ("my-pkg", "1.0b0")),
        ("pkg-2-1.0.tar.gz", "pkg-2", ("pkg-2", "1.0")),
        ("pkg-2-1.0.tar.gz", "pkg", ("pkg-2", "1.0")),
        ("other-1.0.tar.gz", "pkg", ("other", "1.0")),
        ("pkg-one.tar.gz", "pkg", None),
        ("pkg.tar.gz", "pkg", None),
        ("-1.0.tar.gz", "pkg", None),
        ("pkg-1.0.egg", "pkg", None),
        ("pkg-1.0.exe", "pkg", None),
        (f"pkg-{'9' * 5000}.tar.gz", "pkg", None),
    ],
)
def test_old_filenames_are_split(filename: str, project: str, split: tuple[str, str] | None) -> None:
    """Hyphens in names and versions are told apart by the project; what is no sdist's filename is none."""
    found = split_sdist_filename(filename, project)  # type: ignore[arg-type]
    assert (found and (found[0], str(found[1]))) == split


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("a\u00a0b.txt", None),
        ("a\u3000b.txt", None),
        ("\U0001f469\u200d\U0001f4bb.txt", None),
        ("\U0001f3f4\U000e0067\U000e0062\U000e007f.txt", None),
        ("\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.txt", None),
        ("\ue0a0.txt", None),
        ("a\u202eb.txt", r"U\+202E \(RIGHT-TO-LEFT OVERRIDE\)"),
        ("a\u2066b.txt", r"U\+2066 \(LEFT-TO-RIGHT ISOLATE\)"),
        ("a\u200eb.txt", r"U\+200E \(LEFT-TO-RIGHT MARK\)"),
        ("a\u200bb.txt", r"U\+200B \(ZERO WIDTH SPACE\)"),
        ("a\ufeffb.txt", r"U\+FEFF \(ZERO WIDTH NO-BREAK SPACE\)"),
        ("a\u00adb.txt", r"U\+00AD \(SOFT HYPHEN\)"),
        ("a\u2028b.txt", r"U\+2028 \(LINE SEPARATOR\)"),
        ("a\u0007b.txt", r"U\+0007 \(a control character\)"),
        ("a\u009bb.txt", r"U\+009B \(a control character\)"),
        ("a\u007fb.txt", r"U\+007F \(a control character\)"),
    ],
)
def test_name_with_a_hidden_character_is_refused_by_its_name(name: str, hidden: str | None) -> None:
    """Spaces and joined emoji are fine; what nobody sees, or what turns a text around, is named in the refusal."""
    content = zipped(Part(f"thing-1.0/{name}".encode()).both(flags=0x800))
    if hidden is None:
        assert inspect_here(ZIP, content)["project"] == "thing"
    else:
        with pytest.raises(Refused, match=rf"^Unsafe name: .* has the character {hidden}, which hides in the name\."):
            inspect_here(ZIP, content)
