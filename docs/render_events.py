"""Writes docs/events.md from the enumerations of events, alerts and causes: `python docs/render_events.py`."""

from collections.abc import Iterable
from pathlib import Path

from koschey.causes import CauseKind, UpstreamCause
from koschey.events import AlertKind, Event
from koschey.explained import Explained

PAGE = Path(__file__).with_name("events.md")


def render() -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Events, alerts and causes",
            "",
            "`python docs/render_events.py` writes this page from `koschey/events.py` and `koschey/causes.py`. The",
            "texts are a promise to programs and stay as they are. The sentences beside them, called `reason`, are for",
            "people; they may become clearer with each version.",
            "",
            "## Events of the journal",
            "",
            "`action` in `/api/v1/journal` and in the panel.",
            "",
            *_table("event", Event),
            "",
            "## Kinds of alerts",
            "",
            "`kind` in `/api/v1/alerts`, in `koschey alerts` and in what the webhook receives.",
            "",
            *_table("kind", AlertKind),
            "",
            "## Causes of a file's state",
            "",
            "The columns `cause`, `cause_subject`, `cause_scope` and `cause_version` of the table `standing`. Scope",
            "and version say what a decision, a rule or a reservation covers.",
            "",
            *_table("cause", CauseKind),
            "",
            "What an upstream did or said is the subject of the cause `upstream`:",
            "",
            *_table("subject", UpstreamCause),
            "",
        ]
    )


def _table(heading: str, members: Iterable[Explained]) -> list[str]:
    rows = [f"| `{member.value}` | {member.meaning} |" for member in members]
    return [f"| {heading} | meaning |", "|---|---|", *rows]


if __name__ == "__main__":
    PAGE.write_text(render())
