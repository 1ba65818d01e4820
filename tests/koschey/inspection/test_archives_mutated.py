"""Archives with a few bytes changed: refused by a rule with a name, or still read by all alike. Never a crash."""

import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koschey.inspection.archives.limits import MIB
from koschey.inspection.archives.rules import ArchiveRule
from koschey.inspection.sandbox import job
from tests.support import corpora_tars, corpora_zips
from tests.support.corpora_zips import FILENAME
from tests.support.inspection import by_tarfile, by_zipfile, read_tar, read_zip

ZIPS = [corpora_zips.ACCEPTED[name]() for name in ("plain", "folders", "zip64 end", "zip64 sizes", "name beyond ASCII")]
TARS = [
    gzip.decompress(corpora_tars.ACCEPTED[name]())
    for name in ("plain", "tarfile's pax", "tarfile's GNU", "symbolic link up and down", "hard link")
]
CHANGES = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4)
NAMED = (*(f"{rule}: " for rule in ArchiveRule), "Invalid METADATA", "Invalid PKG-INFO")


def changed(content: bytes, changes: list[tuple[int, int]]) -> bytes:
    """The bytes with some of them replaced."""
    mutable = bytearray(content)
    for position, value in changes:
        mutable[position % len(mutable)] = value
    return bytes(mutable)


def is_taken(filename: str, content: bytes) -> bool:
    """Tell whether an archive is taken; one that is not must be refused by name."""
    answer = job.answer(io.BytesIO(content), filename, len(content), 1024 * MIB)
    refused = answer.get("refused")
    assert refused is None or refused.startswith(NAMED), refused
    return refused is None


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ZIPS), CHANGES)
def test_changed_wheel_is_refused_or_read_alike(content: bytes, changes: list[tuple[int, int]]) -> None:
    """No change of a few bytes gives a wheel that is taken and that the standard library reads otherwise."""
    mutant = changed(content, changes)
    if is_taken(FILENAME, mutant):
        assert read_zip(mutant) == by_zipfile(mutant)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ZIPS), st.integers(0, 500), st.integers(0, 255))
def test_changed_directory_is_refused_or_read_alike(content: bytes, position: int, value: int) -> None:
    """The same, where it hurts most: in the directory and at the end."""
    start = content.find(b"PK\1\2")
    mutant = content[:start] + changed(content[start:], [(position, value)])
    if is_taken(FILENAME, mutant):
        assert read_zip(mutant) == by_zipfile(mutant)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(TARS), CHANGES)
def test_changed_tar_is_refused_or_read_alike(content: bytes, changes: list[tuple[int, int]]) -> None:
    """No change of a few bytes, checksums repaired, gives an sdist that is taken and that tarfile reads otherwise."""
    mutant = gzip.compress(repaired(changed(content, changes)), 1, mtime=0)
    if is_taken(corpora_tars.FILENAME, mutant):
        assert read_tar(mutant) == by_tarfile(mutant)


def repaired(content: bytes) -> bytes:
    """Every block that looks like a header gets the checksum that it should have."""
    blocks = [bytearray(content[start : start + 512]) for start in range(0, len(content), 512)]
    for block in blocks:
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    return b"".join(blocks)


@pytest.mark.parametrize("filename", [FILENAME, corpora_tars.FILENAME])
@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=3000))
def test_noise_is_refused(filename: str, content: bytes) -> None:
    """Noise is refused by name, inside a gzip too."""
    assert not is_taken(filename, content)
    assert not is_taken(corpora_tars.FILENAME, gzip.compress(content, 1))
