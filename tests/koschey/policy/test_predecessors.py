"""Which file of an earlier release a new one is compared with."""

from datetime import UTC, datetime
from typing import Any

import pytest
from packaging.utils import NormalizedName

from koschey.model import File, FileId, Standing, StandingFile, State
from koschey.policy.predecessors import newest_released, predecessors
from koschey.standards.names import version_of
from tests.support.rows import A_TEST, digest_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LINUX, MAC, ANY = "cp312-cp312-manylinux_2_28_x86_64.whl", "cp312-cp312-macosx_11_0_arm64.whl", "py3-none-any.whl"


def file(filename: str) -> File:
    """A file by its name alone."""
    version = version_of(filename, NormalizedName("thing"))
    assert version
    sha256 = digest_of(filename)
    names = ("requires_python", "yanked", "core_metadata", "upstream_url", "path", "absent_since")
    nothing: dict[str, Any] = dict.fromkeys(names)
    return File(
        id=FileId(1), project=NormalizedName("thing"), version=version, filename=filename, sha256=sha256, size=1,
        upload_time=NOON, first_seen_at=NOON, stored_at=None, metadata_stored=False, **nothing,
    )  # fmt: skip


def known(*filenames: str, state: State = State.RELEASED) -> list[StandingFile]:
    """Files that all stand alike."""
    return [StandingFile(file(name), Standing(state, *A_TEST, None, None)) for name in filenames]


@pytest.mark.parametrize(
    ("filename", "others", "expected"),
    [
        (f"thing-1.10-{ANY}", [f"thing-1.2-{ANY}", f"thing-1.9-{ANY}"], [f"thing-1.9-{ANY}", f"thing-1.2-{ANY}"]),
        (f"thing-1.1-{ANY}", [f"thing-1.2-{ANY}", f"thing-1.1-{ANY}"], []),
        (f"thing-1.1-{LINUX}", [f"thing-1.0-{MAC}", f"thing-1.0-{LINUX}", "thing-1.0.tar.gz"], [f"thing-1.0-{LINUX}"]),
        (f"thing-1.1-{LINUX}", [f"thing-1.0-{ANY}", f"thing-1.0-{MAC}"], [f"thing-1.0-{MAC}"]),
        ("thing-1.1.tar.gz", [f"thing-1.0-{ANY}", "thing-0.9.tar.gz"], ["thing-0.9.tar.gz"]),
        ("thing-1.1.tar.gz", [f"thing-1.0-{ANY}"], []),
        (f"thing-1.1-{ANY}", ["thing-1.0.tar.gz", "thing-0.9.tar.gz"], ["thing-1.0.tar.gz", "thing-0.9.tar.gz"]),
        (f"thing-1.1-{ANY}", ["thing-1.0.tar.gz", f"thing-0.9-{ANY}"], [f"thing-0.9-{ANY}"]),
        (f"thing-1.0-{ANY}", [f"thing-1.0rc1-{ANY}"], [f"thing-1.0rc1-{ANY}"]),
    ],
)
def test_nearest_of_the_version_below_is_compared_with(filename: str, others: list[str], expected: list[str]) -> None:
    """By PEP 440, the highest version below; of its files the same kind, and the most equal tags."""
    assert [one.filename for one in predecessors(file(filename), known(*others))] == expected


def test_what_was_never_let_out_is_no_predecessor() -> None:
    """A release that is held or blocked is nothing to be compared with, or an attacker would bring his own."""
    for state in set(State) - {State.RELEASED}:
        assert list(predecessors(file(f"thing-1.1-{ANY}"), known(f"thing-1.0-{ANY}", state=state))) == []
        assert newest_released(file(f"thing-1.1-{ANY}"), known(f"thing-1.0-{ANY}", state=state), 10) == []


def test_version_that_is_none_has_no_predecessor() -> None:
    """What PEP 440 cannot order is compared with nothing."""
    assert list(predecessors(file("thing-x1.tar.gz"), known("thing-1.0.tar.gz"))) == []


def test_family_is_of_one_kind_and_of_other_versions() -> None:
    """Sizes are compared with files of the same kind, and not with those of the same release."""
    others = known(f"thing-1.0-{ANY}", "thing-1.0.tar.gz", f"thing-1.1-{LINUX}")
    assert [one.filename for one in newest_released(file(f"thing-1.1-{ANY}"), others, 10)] == [f"thing-1.0-{ANY}"]
