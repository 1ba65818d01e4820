"""The frame of an sdist: what tools would unpack differently, or elsewhere, is refused by a rule of its own."""

import asyncio
import resource
import time

import pytest

from koschey.errors import Refused
from koschey.inspection.archives.limits import MIB
from tests.support.corpora_tars import ACCEPTED, FILENAME, REJECTED, content, header, member, packed, zeros
from tests.support.inspection import assert_refused, by_tarfile, inspect_bytes, inspect_here, read_tar


@pytest.mark.parametrize("case", REJECTED)
def test_hostile_tar_is_refused(case: str) -> None:
    """Each fault is refused within seconds by the rule that is meant for it, in one line that names the file."""
    content, rule = REJECTED[case]
    archive, began = content(), time.monotonic()
    assert_refused(FILENAME, archive, rule)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("case", ACCEPTED)
def test_honest_tar_is_taken(case: str) -> None:
    """What tools write, or could, and what all read alike, is not refused."""
    found = inspect_here(FILENAME, ACCEPTED[case]())
    assert (found["project"], found["version"]) == ("thing", "1.0")


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted_tar_is_read_as_tarfile_reads_it(case: str) -> None:
    """Names, kinds, sizes, links and content are those of the standard library, which pip unpacks with."""
    content = ACCEPTED[case]()
    assert read_tar(content) == by_tarfile(content)


async def test_gibibyte_of_zeros_ends_early() -> None:
    """A bomb of a megabyte is refused by the child when 64 MiB have been counted, long before it is inflated."""
    bomb, before = zeros(2**30), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert len(bomb) < 2 * MIB
    with pytest.raises(
        Refused, match=r"^Decompression bomb: thing-1\.0\.tar\.gz inflates from \d+ to more than 6\d{7} "
    ):
        await inspect_bytes(FILENAME, bomb)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2


async def test_ten_bombs_at_once_end_early() -> None:
    """Ten at once are refused, a few at a time, each within the child's limits."""
    bomb = zeros(2**30)
    ended = await asyncio.gather(*(inspect_bytes(FILENAME, bomb) for _ in range(10)), return_exceptions=True)
    assert [str(error)[:18] for error in ended] == ["Decompression bomb"] * 10


async def test_long_extended_headers_are_read_in_little_time() -> None:
    """Mebibytes of the shortest records, each taken off the front, would be copied 170,000 times."""
    many = header(b"pax", 6 * 170_000, kind=b"x") + content(b"6 a=b\n" * 170_000)
    members = [many + member(b"thing-1.0/%d" % number) for number in range(10)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert (await inspect_bytes(FILENAME, packed(*members))).project == "thing"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 5


@pytest.mark.parametrize("case", ["endless loop", "negative pax size", "hard link to a symbolic link", "short block"])
async def test_child_refuses_a_hostile_tar(case: str) -> None:
    """What runs in the child is what the corpus was tried with."""
    content, rule = REJECTED[case]
    with pytest.raises(Refused, match=f"^{rule}: "):
        await inspect_bytes(FILENAME, content())
