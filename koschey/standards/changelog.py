"""The changelog that mirrors read by XML-RPC: each change of the journal in the words of the public index.

It contains every serial, so that a mirror reaches the last one. It does not name a file that is not served now, or a
release without served files: it reports such a change as one of the project.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from packaging.utils import NormalizedName

from koschey.events import Event
from koschey.model import ProjectStatus, Serial, State
from koschey.standards.project_json import python_tag

UPDATED = "update"
"""Something about the project changed; the changelog says no more."""
OF_PROJECTS: Mapping[Event | None, str] = {Event.CREATE_PROJECT: "create"}
OF_FILES = {Event.ADD_FILE, Event.RELEASED, Event.APPROVE, Event.TRUST}
"""Events that make a file served."""
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
"""Events after which something is no longer served, so the changelog does not name it."""


@dataclass(frozen=True, slots=True)
class ChangelogEntry:
    """One row of the journal, and whether its file is served now."""

    serial: Serial
    at: datetime
    event: Event | None
    """None for an event that this version does not know."""
    project: NormalizedName | None
    """None if the change is not about one project that exists here."""
    version: str | None
    filename: str | None
    state: str | None
    """The initial state of a file, if the event contains it."""
    status: str | None
    """The new status of the project (PEP 792), if the event contains it."""
    yanked: str | None
    """The reason why the upstream has yanked a file (PEP 592), if the event contains it."""
    was: str | None
    """The previous status of the project, if the event contains it."""
    file_served: bool


type Row = tuple[str, str | None, int, str, Serial]
"""Project, version or None, seconds since 1970, action, serial."""


def render_change(change: ChangelogEntry) -> Row:
    """Return the change as a row of the changelog."""
    version, action = _words(change)
    return change.project or "", version, int(change.at.timestamp()), action, change.serial


def _words(change: ChangelogEntry) -> tuple[str | None, str]:
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


def _status(change: ChangelogEntry) -> str:
    if change.status == ProjectStatus.QUARANTINED:
        return "project quarantined"
    return "project quarantine cleared" if change.was == ProjectStatus.QUARANTINED else UPDATED
