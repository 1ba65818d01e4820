"""Yanking hosted files (PEP 592): they stay, for whoever pins them, but are not chosen any more."""

from koschey.auth.permissions import Action
from koschey.db import files
from koschey.db.pool import Connection
from koschey.errors import UsageError
from koschey.publish.hosted import Change, Hosted, Outcome, Scope, changing


async def yank(connection: Connection, change: Change) -> Outcome:
    """Yank a release, or one file. Another reason than the last time replaces it; the same one changes nothing.

    Raises as `hosted.changing` does.
    """
    _check(change.scope)
    async with changing(connection, Action.YANK, change) as hosted:
        return await _mark(hosted, "yank", change.reason)


async def unyank(connection: Connection, change: Change) -> Outcome:
    """Take the mark back. PEP 592: yanking "may be undone". Raises as `hosted.changing` does."""
    _check(change.scope)
    async with changing(connection, Action.YANK, change) as hosted:
        return await _mark(hosted, "unyank", None)


def _check(scope: Scope) -> None:
    if scope.noun == "project":
        raise UsageError(f"{scope} names no single release; write it as 'name==version'")


async def _mark(hosted: Hosted, verb: str, yanked: str | None) -> Outcome:
    marked = [item for item in hosted.present if item.file.yanked != yanked]
    if marked:
        await files.update_yanked(hosted.connection, [item.file.id for item in marked], yanked)
    return await hosted.record(f"{verb} {hosted.change.scope.noun}", marked)
