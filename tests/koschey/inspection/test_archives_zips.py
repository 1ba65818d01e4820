"""The frame of a wheel: each way in which tools could read it differently is refused by a rule of its own."""

import pytest

from koschey.errors import Refused
from tests.support.corpora_zips import ACCEPTED, FILENAME, REJECTED
from tests.support.inspection import assert_refused, inspect_bytes, inspect_here


@pytest.mark.parametrize("case", REJECTED)
def test_ambiguous_zip_is_refused(case: str) -> None:
    """Each fault is refused by the rule that is meant for it, in one printable line that names the file."""
    content, rule = REJECTED[case]
    assert_refused(FILENAME, content(), rule)


@pytest.mark.parametrize("case", ACCEPTED)
def test_honest_zip_is_taken(case: str) -> None:
    """What tools write, or could, and what all read alike, is not refused."""
    found = inspect_here(FILENAME, ACCEPTED[case]())
    assert (found["project"], found["version"]) == ("thing", "1.0")


@pytest.mark.parametrize(
    "case", ["bomb", "bomb that promises little", "zip64 end that is missing", "duplicate", "no zip"]
)
async def test_child_refuses_an_ambiguous_zip(case: str) -> None:
    """What runs in the child is what the corpus was tried with."""
    content, rule = REJECTED[case]
    with pytest.raises(Refused, match=f"^{rule}: "):
        await inspect_bytes(FILENAME, content())
