"""Changes to hosted projects: yank (PEP 592), remove, and set a status (PEP 792).

Yanked files stay for clients that pin them, but installers no longer choose them. A removed file leaves a tombstone:
its filename stays used permanently, so nobody can upload other bytes under it; its URLs say that it is gone; its bytes
stay in the bucket. A project whose files are all removed is still hosted: Koschey never requests it from the upstream.
A status does not change the state of any file: hidden files come back as they were.
"""

from collections.abc import Mapping

from koschey.auth.permissions import Action
from koschey.causes import Cause, CauseKind, Grounds
from koschey.db import files, projects, standings
from koschey.db.pool import Connection
from koschey.errors import UsageError
from koschey.events import Event
from koschey.hosting.changes import Hosted, HostedChange, HostedOutcome, Noun, Scope, changing
from koschey.model import ProjectStatus, State

YANKS = {Noun.RELEASE: Event.YANK_RELEASE, Noun.FILE: Event.YANK_FILE}
UNYANKS = {Noun.RELEASE: Event.UNYANK_RELEASE, Noun.FILE: Event.UNYANK_FILE}
REMOVALS = {Noun.PROJECT: Event.REMOVE_PROJECT, Noun.RELEASE: Event.REMOVE_RELEASE, Noun.FILE: Event.REMOVE_FILE}


async def yank(connection: Connection, change: HostedChange) -> HostedOutcome:
    """Yank a release, or one file. Another reason replaces the previous one; the same reason changes nothing.

    Raises as `changes.changing` does.
    """
    _check(change.scope)
    async with changing(connection, Action.YANK, change) as hosted:
        return await _mark(hosted, YANKS, hosted.change.reason)


async def unyank(connection: Connection, change: HostedChange) -> HostedOutcome:
    """Undo a yank. PEP 592: yanking "may be undone". Raises as `changes.changing` does."""
    _check(change.scope)
    async with changing(connection, Action.YANK, change) as hosted:
        return await _mark(hosted, UNYANKS, None)


def _check(scope: Scope) -> None:
    if scope.noun is Noun.PROJECT:
        raise UsageError(f"{scope} does not name a single release; write it as 'name==version'")


async def _mark(hosted: Hosted, events: Mapping[Noun, Event], yanked: str | None) -> HostedOutcome:
    marked = [item for item in hosted.present if item.file.yanked != yanked]
    if marked:
        await files.update_yanked(hosted.connection, [item.file.id for item in marked], yanked)
    return await hosted.record(events[hosted.change.scope.noun], marked)


async def remove(connection: Connection, change: HostedChange) -> HostedOutcome:
    """Remove a file, a release or all files of a project. Files that are already removed stay as they are.

    Raises as `changes.changing` does.
    """
    async with changing(connection, Action.MANAGE, change) as hosted:
        removed = hosted.present
        if removed:
            who = change.actor.name
            grounds = Grounds(Cause(CauseKind.REMOVAL, who), f"{hosted.change.reason} (removed by {who})")
            await standings.update_states(connection, [item.file.id for item in removed], State.REMOVED, grounds)
            await hosted.wake_held()
        return await hosted.record(REMOVALS[change.scope.noun], removed)


async def set_status(connection: Connection, status: ProjectStatus, change: HostedChange) -> HostedOutcome:
    """Set a project's status.

    PEP 792: `archived` accepts no uploads, `quarantined` accepts none and offers no file, `deprecated` is like
    `active`. The page shows the reason, except for `active`, which needs none. Raises as `changes.changing` does.
    """
    async with changing(connection, Action.MANAGE, change) as hosted:
        before, shown = hosted.project, None if status is ProjectStatus.ACTIVE else hosted.change.reason
        if (before.status, before.status_reason) == (status, shown):
            return hosted.unchanged
        await projects.update_status(connection, before.id, status, shown)
        await hosted.wake_held()
        return await hosted.record_status({"status": status, "reason": hosted.change.reason, "was": before.status})
