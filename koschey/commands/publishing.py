"""What is done to projects that are hosted here: yank, remove, set a status."""

from collections.abc import Awaitable, Callable

import click

from koschey.commands.database import open_database, operator
from koschey.db.pool import Connection
from koschey.errors import UsageError
from koschey.hosting.changes import Change, Outcome, Scope
from koschey.hosting.projects import remove, set_status, unyank, yank
from koschey.model import ProjectStatus
from koschey.settings import Settings
from koschey.standards.names import parse_name, parse_scope, parse_specifier
from koschey.terminal import say, say_json

type Operation = Callable[[Connection, Change], Awaitable[Outcome]]


async def yank_release(settings: Settings, release: str, filename: str | None, reason: str, *, as_json: bool) -> None:
    """Yank a release, or one file of it."""
    await _carry_out(settings, "yank", yank, _release(release, filename), reason, as_json=as_json)


async def unyank_release(settings: Settings, release: str, filename: str | None, reason: str, *, as_json: bool) -> None:
    """Take the yank of a release back, or that of one file of it."""
    await _carry_out(settings, "unyank", unyank, _release(release, filename), reason, as_json=as_json)


async def remove_scope(
    settings: Settings, text: str, filename: str | None, reason: str, *, yes: bool, as_json: bool
) -> None:
    """Remove a project's files, those of a release, or one, after the name was typed once more."""
    scope = Scope(*parse_scope(text), filename)
    if not yes:
        _confirm(scope)
    await _carry_out(settings, "remove", remove, scope, reason, as_json=as_json)


async def set_project_status(settings: Settings, name: str, status: str, reason: str, *, as_json: bool) -> None:
    """Set the status of a project."""

    async def operation(connection: Connection, change: Change) -> Outcome:
        return await set_status(connection, ProjectStatus(status), change)

    await _carry_out(settings, f"status {status}", operation, Scope(parse_name(name)), reason, as_json=as_json)


def _release(text: str, filename: str | None) -> Scope:
    return Scope(*parse_specifier(text), filename)


def _confirm(scope: Scope) -> None:
    """Ask for the name. Raises `UsageError` where another one is typed."""
    say(f"This removes {scope} for ever; no file can be uploaded under a removed name again.", err=True)
    if click.prompt(f"Type {scope.project} to remove it", err=True).strip() != scope.project:
        raise UsageError("that is not the project's name; nothing was removed")


async def _carry_out(
    settings: Settings, verb: str, operation: Operation, scope: Scope, reason: str, *, as_json: bool
) -> None:
    async with open_database(settings) as pool, pool.acquire() as connection:
        outcome = await operation(connection, Change(operator(), scope, reason))
    if as_json:
        answer = {"action": verb, "scope": str(scope), "serial": outcome.serial, "changed": outcome.changed}
        say_json({**answer, "files": outcome.filenames})
    else:
        say(f"{verb} {scope}: {outcome}")
