"""Removing hosted files: each leaves a tombstone.

Its name stays used for ever, so that nobody can put other bytes under it, its URLs say that it is gone, and its bytes
stay in the bucket. A project of which everything is removed is still ours: the upstream is never asked for it.
"""

from koschey.auth.permissions import Action
from koschey.db import files
from koschey.db.pool import Connection
from koschey.model import State
from koschey.publish.hosted import Change, Outcome, changing


async def remove(connection: Connection, change: Change) -> Outcome:
    """Remove a file, a release or all files of a project. What is removed already stays as it is.

    Raises as `hosted.changing` does.
    """
    async with changing(connection, Action.MANAGE, change) as hosted:
        removed = hosted.present
        if removed:
            reason = f"{change.reason} (removed by {change.actor.name})"
            await files.update_states(connection, [item.file.id for item in removed], State.REMOVED, reason)
            await hosted.wake_held()
        return await hosted.record(f"remove {change.scope.noun}", removed)
