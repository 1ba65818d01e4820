"""The changelog that mirrors read by XML-RPC: each change of the journal in the words of the public index.

Every serial is in it, so that a mirror gets as far as the last one. But a file that is not served now, or a release
without one, is not named: its change is said to have happened to the project.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from packaging.utils import NormalizedName

from koschey.events import Event
from koschey.model import ProjectStatus, Serial, State
from koschey.standards.project_json import python_tag

UPDATED = "update"
"""Something about the project changed; nothing more is said."""
OF_PROJECTS: Mapping[Event | None, str] = {Event.CREATE_PROJECT: "create"}
OF_FILES = {Event.ADD_FILE, Event.RELEASED, Event.APPROVE, Event.TRUST}
"""Events by which a file came to be served."""
OF_YANKS: Mapping[Event | None, str] = {
    Event.YANK_RELEASE: "yank release",
    Event.YANK_FILE: "yank release",
    Event.UNYANK_RELEASE: "unyank release",
    Event.UNYANK_FILE: "unyank release",
}
"""On the public index releases are yanked, not files."""
WITHDRAWN: Mapping[Event | None, str] = {
    Event.BLOCK: "release quarantined",
    Event.BLOCKED: "release quarantined",
    Event.REMOVE_FILE: "remove file",
    Event.REMOVE_RELEASE: "remove release",
    Event.REMOVE_PROJECT: "remove project",
}
"""Events by which something ceased to be served, so that nothing names it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the journal, and what of it is served now."""

    serial: Serial
    at: datetime
    event: Event | None
    """None for one that this version does not know."""
    project: NormalizedName | None
    """None for a change that is not about one project that exists here."""
    version: str | None
    filename: str | None
    state: str | None
    """Where the event says it: the state that a file began with."""
    status: str | None
    """Where the event says it: the status of the project from then on (PEP 792)."""
    yanked: str | None
    """Where the event says it: that the upstream has yanked a file, and why (PEP 592)."""
    was: str | None
    """Where the event says it: the status that the project had before."""
    file_served: bool


type Row = tuple[str, str | None, int, str, Serial]
"""Project, version or nothing, seconds since 1970, action, serial."""


def render_change(change: Change) -> Row:
    """Return the change as a row of the changelog."""
    version, action = _words(change)
    return change.project or "", version, int(change.at.timestamp()), action, change.serial


def _words(change: Change) -> tuple[str | None, str]:
    """Return the version, if it may be named, and the action."""
    if change.event is Event.PROJECT_STATUS:
        return None, _status(change)
    if change.event in OF_PROJECTS:
        return None, OF_PROJECTS[change.event]
    if change.file_served and change.filename:
        if change.event in OF_YANKS:
            return change.version, OF_YANKS[change.event]
        if change.event in OF_FILES and change.state in (None, State.RELEASED):
            return change.version, f"add {python_tag(change.filename)} file {change.filename}"
        if change.yanked is not None:
            return change.version, "yank release"
    return None, WITHDRAWN.get(change.event, UPDATED)


def _status(change: Change) -> str:
    if change.status == ProjectStatus.QUARANTINED:
        return "project quarantined"
    return "project quarantine cleared" if change.was == ProjectStatus.QUARANTINED else UPDATED
