"""docs/events.md says what the code does."""

import importlib.util
from pathlib import Path

import pytest

from koschey.causes import CauseKind, UpstreamCause
from koschey.events import AlertKind, Event
from koschey.explained import Explained

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_rendered_from_the_code() -> None:
    """The page is what the script writes; after a change of an event, an alert or a cause run it again."""
    spec = importlib.util.spec_from_file_location("render_events", DOCS / "render_events.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "events.md").read_text() == module.render()


@pytest.mark.parametrize("kind", [Event, AlertKind, CauseKind, UpstreamCause])
def test_each_member_says_what_it_means(kind: type[Explained]) -> None:
    """Every member has a sentence of its own, and is found by its text."""
    for member in kind:
        assert member.meaning.endswith("."), member
        assert "|" not in member.meaning
        assert kind(member.value) is member
    assert len({member.meaning for member in kind}) == len(kind)
