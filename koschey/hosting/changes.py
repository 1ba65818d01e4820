"""The common part of all changes to a hosted project: permission, the order of locks, and the journal.

A mirrored project is refused: its upstream decides its yanks and its status, and would still list a file that was
removed here. An index blocks an upstream's files instead.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from packaging.utils import NormalizedName

from koschey.auth.authorization import authorize_actor
from koschey.auth.permissions import Action
from koschey.db import files, journal, projects
from koschey.db.journal import Entry
from koschey.db.outbox import insert_message
from koschey.db.pool import Connection
from koschey.errors import NotKnown, UsageError
from koschey.events import Event
from koschey.model import Actor, Origin, Project, Serial, StandingFile, State
from koschey.outbox import ReleaseHeld
from koschey.policy.reasons import parse_reason


class Noun(StrEnum):
    """The kind of thing that a change is about."""

    PROJECT = "project"
    RELEASE = "release"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Scope:
    """A project, one release of it, or one file."""

    project: NormalizedName
    version: str | None = None
    filename: str | None = None

    @property
    def noun(self) -> Noun:
        """Whether this is a project, a release or a file."""
        if self.filename is not None:
            return Noun.FILE
        return Noun.RELEASE if self.version is not None else Noun.PROJECT

    def __str__(self) -> str:
        release = f"{self.project}=={self.version}" if self.version is not None else str(self.project)
        return f"{self.filename} of {release}" if self.filename is not None else release


@dataclass(frozen=True, slots=True)
class HostedChange:
    """A request for a change: the actor, the scope and the reason."""

    actor: Actor
    scope: Scope
    reason: str
    expected: Serial | None = None
    """The serial of the project that the actor saw; None for any serial."""


@dataclass(frozen=True, slots=True)
class HostedOutcome:
    """The state of a hosted project after a change was requested."""

    serial: Serial
    """The serial of the project, whether or not it has changed."""
    changed: bool
    """False if there was nothing to change."""
    filenames: tuple[str, ...] = ()
    """The files that were changed."""

    def __str__(self) -> str:
        if not self.changed:
            return "nothing to change; this is already the case"
        count = len(self.filenames)
        files = f", {count} file{'s' if count != 1 else ''} changed" if count else ""
        return f"serial {self.serial}{files}"


@dataclass(frozen=True, slots=True)
class Hosted:
    """A hosted project and the files in the scope of a change, locked."""

    connection: Connection
    change: HostedChange
    project: Project
    files: Sequence[StandingFile]

    @property
    def present(self) -> list[StandingFile]:
        """The files in the scope that are not removed."""
        return [item for item in self.files if item.standing.state is not State.REMOVED]

    @property
    def unchanged(self) -> HostedOutcome:
        """The outcome if there was nothing to change."""
        return HostedOutcome(self.project.serial, changed=False)

    async def record(self, event: Event, changed: Sequence[StandingFile]) -> HostedOutcome:
        """Write a journal row for each changed file. The last statement of the transaction."""
        if not changed:
            return self.unchanged
        detail: dict[str, object] = {"reason": self.change.reason}
        entries = [Entry(item.file.version, item.file.filename, detail) for item in changed]
        serial = await self._write(event, entries)
        return HostedOutcome(serial, changed=True, filenames=tuple(item.file.filename for item in changed))

    async def record_status(self, detail: dict[str, object]) -> HostedOutcome:
        """Write the one journal row for a change of the project itself. The last statement of the transaction."""
        return HostedOutcome(await self._write(Event.PROJECT_STATUS, [Entry(detail=detail)]), changed=True)

    async def wake_held(self) -> None:
        """Notify the workflows of held releases that something about them has changed."""
        for version in sorted({item.file.version for item in self.files if item.standing.state is State.HELD}):
            await insert_message(self.connection, ReleaseHeld(self.project.name, version))

    async def _write(self, event: Event, entries: Sequence[Entry]) -> Serial:
        return await journal.insert_entries(self.connection, self.change.actor, event, self.project.name, entries)


@asynccontextmanager
async def changing(connection: Connection, action: Action, change: HostedChange) -> AsyncIterator[Hosted]:
    """Open the transaction of a change.

    Raises `NotAllowed` if the account may not do this, `Stale` if the project has changed since the actor saw it,
    `NotKnown` if there is no such project, release or file, and `UsageError` if the project is not hosted here or the
    reason cannot be stored.
    """
    change = replace(change, reason=parse_reason(change.reason))
    scope = change.scope
    async with connection.transaction():
        await authorize_actor(connection, change.actor, action, scope.project)
        project = await projects.lock_project(connection, scope.project, change.expected)
        if project is None:
            raise NotKnown(f"there is no project {scope.project} here")
        if project.origin is not Origin.HOSTED:
            raise UsageError(_mirrored(scope))
        known = await files.lock_release_files(connection, scope.project, scope.version)
        chosen = [item for item in known if scope.filename in (None, item.file.filename)]
        if not chosen and scope.noun is not Noun.PROJECT:
            raise NotKnown(f"there is no {scope} here")
        yield Hosted(connection, change, project, chosen)


def _mirrored(scope: Scope) -> str:
    blocked = f"{scope.project}=={scope.version}" if scope.version is not None else scope.project
    return (
        f"{scope.project} is mirrored: its upstream decides its yanks, its removals and its status; "
        f"to stop serving it here: koschey block '{blocked}' --reason ..."
    )
