"""METADATA out of pieces of a wheel, over the corpora of ZIP files and wheels: only what all tools would read."""

import io
import zipfile

import pytest

from koschey.errors import Refused
from koschey.inspection.dists.partial_wheels import read_wheel_metadata
from tests.support import corpora_wheels, corpora_zips
from tests.support.archives import core_metadata
from tests.support.corpora_zips import FILENAME, INFO, REJECTED
from tests.support.inspection import by_zipfile

METADATA = f"{INFO}/METADATA"
ACCEPTED = {**corpora_zips.ACCEPTED, **corpora_wheels.ACCEPTED}
AMBIGUOUS = ("prefix that offsets know not", "suffix", "comment", "zip in the comment", "count too small", "two counts")
"""Frames in which tools find other members; the standard library takes one side."""


async def in_pieces(content: bytes) -> bytes:
    async def read(start: int, stop: int) -> bytes:
        return content[start:stop]

    return await read_wheel_metadata(FILENAME, len(content), read)


@pytest.mark.parametrize("case", ACCEPTED)
async def test_metadata_of_an_honest_wheel(case: str) -> None:
    """It is what the standard library reads of the whole wheel."""
    content = ACCEPTED[case]()
    [expected] = [body for name, body in by_zipfile(content).items() if name.endswith(".dist-info/METADATA")]
    assert await in_pieces(content) == expected


@pytest.mark.parametrize("case", REJECTED)
async def test_metadata_of_a_hostile_wheel(case: str) -> None:
    """It is refused in one line, or it is the METADATA that the whole wheel has."""
    content = REJECTED[case][0]()
    try:
        body = await in_pieces(content)
    except Refused as refusal:
        assert str(refusal).isprintable()  # noqa: PT017 - the other outcome is as good
    else:
        assert body == core_metadata("thing", "1.0")


@pytest.mark.parametrize("case", AMBIGUOUS)
async def test_ambiguous_frame_gives_none(case: str) -> None:
    """Where tools would read different members, no METADATA is taken for the wheel's."""
    with pytest.raises(Refused, match=f"^{REJECTED[case][1]}: "):
        await in_pieces(REJECTED[case][0]())


class Stream(io.BytesIO):
    """A file that cannot be rewound, so that sizes are written behind the data."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation


async def test_wheel_that_was_written_as_a_stream() -> None:
    """Sizes that stand behind the data are no fault here: the directory has them too."""
    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("thing.py", b"answer = 42\n")
        archive.writestr(METADATA, core_metadata("thing", "1.0"))
    content = stream.getvalue()
    assert b"PK\7\x08" in content
    assert await in_pieces(content) == core_metadata("thing", "1.0")
