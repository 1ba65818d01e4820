"""The status of a hosted project (PEP 792). No file changes its state with it: what it hides comes back as it was."""

from koschey.auth.permissions import Action
from koschey.db import projects
from koschey.db.pool import Connection
from koschey.model import ProjectStatus
from koschey.publish.hosted import Change, Outcome, changing


async def set_status(connection: Connection, status: ProjectStatus, change: Change) -> Outcome:
    """Set a project's status.

    PEP 792: `archived` takes no uploads, `quarantined` takes none and offers no file, `deprecated` is as `active`.
    The page shows the reason, but for `active`, which needs none. Raises as `hosted.changing` does.
    """
    async with changing(connection, Action.MANAGE, change) as hosted:
        before, shown = hosted.project, None if status is ProjectStatus.ACTIVE else change.reason
        if (before.status, before.status_reason) == (status, shown):
            return hosted.unchanged
        await projects.update_status(connection, before.id, status, shown)
        await hosted.wake_held()
        return await hosted.record_status({"status": status, "reason": change.reason, "was": before.status})
