"""Enumerations whose members say what they mean."""

import pytest

from koschey.causes import CauseKind, UpstreamCause
from koschey.events import AlertKind, Event
from koschey.explained import Explained


@pytest.mark.parametrize("kind", [Event, AlertKind, CauseKind, UpstreamCause])
def test_each_member_says_what_it_means(kind: type[Explained]) -> None:
    """Every member has a sentence of its own, and is found by its text."""
    for member in kind:
        assert member.meaning.endswith("."), member
        assert "|" not in member.meaning
        assert kind(member.value) is member
    assert len({member.meaning for member in kind}) == len(kind)
