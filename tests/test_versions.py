"""Versions of any length and content: no text makes the functions raise."""

import pytest

from koschey.standards.versions import normalise_version, parse_version_or_none, version_identity

DIGITS = "9" * 5000
"""More digits than Python converts to a number."""


@pytest.mark.parametrize(
    "version", [DIGITS, f"1.{DIGITS}", f"1.0.dev{DIGITS}", "1!x", "", "\0", "\uff19" * 5000, "1." * 2000]
)
def test_versions_that_are_none(version: str) -> None:
    """No text makes the functions for versions raise; what is no version stays as it is."""
    assert parse_version_or_none(version) is None
    assert normalise_version(version) == version_identity(version) == version


def test_versions() -> None:
    """A version has a normal form, and one identity for all its spellings."""
    assert normalise_version("1.0-ALPHA") == "1.0a0"
    assert version_identity("1.0.0") == version_identity("1") != version_identity("1.0.1")
    assert normalise_version(f"1.{'9' * 900}") == f"1.{'9' * 900}"
