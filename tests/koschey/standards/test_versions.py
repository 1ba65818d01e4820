"""Versions, specifiers and requirements out of strangers' texts: whatever they hold, nothing but None comes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from koschey.errors import UsageError
from koschey.standards.names import parse_version
from koschey.standards.versions import (
    MAX_TEXT,
    canonical_version,
    normalise_version,
    parse_requirement_or_none,
    parse_specifiers_or_none,
    parse_version_or_none,
    version_key,
)

LONG = "9" * 5000
"""Python converts no number of more than 4,300 digits."""
NUMBERS = (LONG, f"1.{LONG}", f"1.post{LONG}", f"1+{LONG}", f"1!{LONG}", f"v{LONG}", f"1a{LONG}")
PIECES = st.lists(st.sampled_from(["1", ".", "a", "+", "!", "post", "-", "*", ">=", "==", ",", "~=", " ", "9" * 4301]))


@pytest.mark.parametrize("text", NUMBERS)
def test_number_beyond_pythons_limit_is_none(text: str) -> None:
    """A number that Python does not convert is no version, wherever in a version it stands."""
    assert parse_version_or_none(text) is None
    assert (normalise_version(text), canonical_version(text), version_key(text)[0]) == (text, text, False)
    with pytest.raises(UsageError, match="is not a version") as refusal:
        parse_version(text)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize("operator", ["==", ">=", "!=", "~=", "===", "<"])
def test_long_number_in_a_specifier_is_none(operator: str, text: str) -> None:
    """`packaging` parses such a specifier, and fails only when it is compared."""
    assert parse_specifiers_or_none(operator + text) is None
    assert parse_requirement_or_none(f"a{operator}{text}") is None
    assert parse_requirement_or_none(f"a; python_version {operator.strip('=') or '<'}= '{text}'") is None


def test_what_is_valid_is_read() -> None:
    """Versions are normalised, and equal ones have one canonical text; others stay as they are."""
    assert normalise_version(" 1.0-1 ") == "1.0.post1"
    assert canonical_version("1.0.0") == canonical_version("1") == "1"
    assert normalise_version("2004d-x") == canonical_version("2004d-x") == "2004d-x"
    assert parse_version_or_none("9" * 250) == Version("9" * 250)
    assert str(parse_specifiers_or_none(">=3.8, <4")) == "<4,>=3.8"
    found = parse_requirement_or_none("a[b]>=1; python_version < '3.9'")
    assert found is not None
    assert found.extras == {"b"}
    assert parse_requirement_or_none(f"a @ https://x.test/{'y' * MAX_TEXT}") is None


def test_order() -> None:
    """Versions sort by PEP 440, equal ones by their text, and before them all what is none."""
    mixed = ["1.10", "1.9", "1.0.post1", "latest", "1.0.0", "1.0", "1.0rc1", "2004d-x", "1!0", "1.0a1", "1.0.dev1"]
    ordered = ["2004d-x", "latest", "1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.0", "1.0.post1", "1.9", "1.10", "1!0"]
    assert sorted(mixed, key=version_key) == ordered


@given(st.lists(st.text() | PIECES.map("".join)))
def test_every_list_has_an_order(texts: list[str]) -> None:
    """Keys of any texts can be compared, and two texts that differ are never equal."""
    keys = sorted(version_key(text) for text in texts)
    assert len(set(keys)) == len(set(texts))


@given(st.text() | PIECES.map("".join))
def test_no_text_raises(text: str) -> None:
    """Each reader returns None or something that can be hashed, compared and printed."""
    for reader in (parse_version_or_none, parse_specifiers_or_none):
        found, again = reader(text), reader(text)
        assert (found, hash(found), str(found)) == (again, hash(again), str(again))
    requirement, again_required = (parse_requirement_or_none(f"a{text}") for _ in range(2))
    assert requirement == again_required
    assert str(requirement) == str(again_required)
    assert normalise_version(text) == normalise_version(normalise_version(text))
    assert canonical_version(text) == canonical_version(normalise_version(text))
