"""What makes a ZIP file a wheel: RECORD is enforced, and installers cannot be led elsewhere."""

import base64
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschey.errors import Refused
from koschey.inspection.archives.limits import MIB
from koschey.inspection.archives.member_names import MAX_MEMBERS, Names
from koschey.inspection.archives.rules import ArchiveRule
from koschey.inspection.sandbox import job
from tests.support import corpora_tars, corpora_wheels, corpora_zips
from tests.support.corpora_wheels import ACCEPTED, REJECTED
from tests.support.corpora_zips import FILENAME, wheel_parts, write_zip
from tests.support.facts import content_of_bytes
from tests.support.inspection import assert_refused, inspect_bytes, inspect_here


@pytest.mark.parametrize("case", REJECTED)
def test_bad_wheel_is_refused(case: str) -> None:
    """Each fault is refused by the rule that is meant for it, in one line that names the file."""
    content, rule = REJECTED[case]
    assert_refused(FILENAME, content(), rule)


@pytest.mark.parametrize("case", ACCEPTED)
def test_honest_wheel_is_taken(case: str) -> None:
    """What build tools write, and the specification allows, is not refused."""
    assert inspect_here(FILENAME, ACCEPTED[case]())["version"] == "1.0"


@pytest.mark.parametrize("case", ["another digest", "script elsewhere", "licence missing", "WHEEL empty"])
async def test_child_refuses_a_bad_wheel(case: str) -> None:
    """What runs in the child is what the corpus was tried with."""
    content, rule = REJECTED[case]
    with pytest.raises(Refused, match=f"^{rule}: "):
        await inspect_bytes(FILENAME, content())


def test_too_many_members_are_refused() -> None:
    """The number of names that are remembered is bounded."""
    names = Names("many", twins=False)
    for number in range(MAX_MEMBERS):
        names.add(str(number), is_folder=False)
    with pytest.raises(Refused, match=f"^{ArchiveRule.TOO_MANY}: many has more than {MAX_MEMBERS} members"):
        names.add("one more", is_folder=False)


TOLERATED = {
    "script with a space": (REJECTED, "script-name"),
    "script with a plus": (REJECTED, "script-name"),
    "twins in case": (corpora_zips.REJECTED, "case-twins"),
    "twins in form": (corpora_zips.REJECTED, "case-twins"),
}
"""What a rule with a switch decides about, where it is uploaded."""


@pytest.mark.parametrize("case", sorted({*REJECTED, "twins in case", "twins in form"}))
def test_b13_only_what_has_a_switch_is_tolerated(case: str) -> None:
    """B13: Of an upload such a fault is told, and nothing else passes; of a mirrored file each is a broken rule."""
    corpus, switch = TOLERATED.get(case, (REJECTED, None))
    content, rule = corpus[case]
    body = content()
    answer = job.answer(io.BytesIO(body), FILENAME, len(body), 1024 * MIB)
    if switch is None:
        assert answer["refused"].startswith(f"{rule}: ")
    else:
        [fault] = answer["faults"]
        assert (fault.rule, fault.text.startswith(f"{rule}: ")) == (switch, True)
    refused = content_of_bytes(FILENAME, body).refused
    assert refused is not None
    assert refused.startswith(f"{rule}: ")


def test_faults_of_one_kind_have_a_measure() -> None:
    """An uploader is told the first of thousands."""
    body = REJECTED["script with a plus"][0]()
    many = corpora_wheels.scripts("".join(f"g+{number} = a:b\n" for number in range(5_000)))
    for content, count in ((body, 1), (many, 20)):
        answer = job.answer(io.BytesIO(content), FILENAME, len(content), 1024 * MIB)
        assert len(answer["faults"]) == count


def test_every_rule_has_a_case() -> None:
    """No rule is without an archive that breaks it, and there are as many kinds as were asked for."""
    corpora = (corpora_zips.REJECTED, corpora_tars.REJECTED, REJECTED)
    elsewhere = {ArchiveRule.TOO_MANY, ArchiveRule.SDIST, ArchiveRule.BZIP2, ArchiveRule.XZ}
    assert {rule for corpus in corpora for _, rule in corpus.values()} | elsewhere == set(ArchiveRule)
    assert [len(corpus) for corpus in corpora] >= [35, 25, 20]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=2000))
def test_metadata_is_given_byte_for_byte(description: str) -> None:
    """What an inspection returns is exactly the METADATA in the wheel, whatever is written in it."""
    body = b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n\n" + description.encode()
    answer = inspect_here(FILENAME, write_zip(wheel_parts(METADATA=body)))
    assert base64.b64decode(answer["metadata"] or "") == body
