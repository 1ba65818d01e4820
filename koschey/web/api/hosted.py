"""Changes to hosted projects: yank, remove, status."""

from collections.abc import Awaitable, Callable

from koschey.auth.permissions import Action
from koschey.db.pool import Connection
from koschey.hosting.changes import Change, Outcome, Scope
from koschey.hosting.projects import remove, set_status, unyank, yank
from koschey.standards.names import parse_version
from koschey.web.api.expected import as_expected
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Changed, Input, NewStatus, Why

PROJECT = "/projects/<project>"
RELEASE = f"{PROJECT}/releases/<version>"
FILE = f"{PROJECT}/files/<filename>"


@operation("PUT", f"{PROJECT}/status", NewStatus, Changed, needs=Action.MANAGE)
async def put_status(call: Call[NewStatus]) -> Changed:
    """Set the status of a hosted project (PEP 792)."""
    change = Change(call.actor, Scope(call.project), call.sent.reason)
    async with as_expected(call.project) as connection:
        return _changed(call, await set_status(connection, call.sent.status, change))


@operation("POST", f"{RELEASE}/yank", Why, Changed, needs=Action.YANK)
async def yank_release(call: Call[Why]) -> Changed:
    """Yank a hosted release (PEP 592)."""
    return await _carry_out(yank, call)


@operation("DELETE", f"{RELEASE}/yank", Why, Changed, needs=Action.YANK)
async def unyank_release(call: Call[Why]) -> Changed:
    """Take the yank of a hosted release back."""
    return await _carry_out(unyank, call)


@operation("POST", f"{FILE}/yank", Why, Changed, needs=Action.YANK)
async def yank_file(call: Call[Why]) -> Changed:
    """Yank one hosted file (PEP 592)."""
    return await _carry_out(yank, call)


@operation("DELETE", f"{FILE}/yank", Why, Changed, needs=Action.YANK)
async def unyank_file(call: Call[Why]) -> Changed:
    """Take the yank of one hosted file back."""
    return await _carry_out(unyank, call)


@operation("DELETE", RELEASE, Why, Changed, needs=Action.MANAGE)
async def remove_release(call: Call[Why]) -> Changed:
    """Remove a hosted release for ever; its filenames stay used."""
    return await _carry_out(remove, call)


@operation("DELETE", FILE, Why, Changed, needs=Action.MANAGE)
async def remove_file(call: Call[Why]) -> Changed:
    """Remove one hosted file for ever; its filename stays used."""
    return await _carry_out(remove, call)


@operation("DELETE", PROJECT, Why, Changed, needs=Action.MANAGE)
async def remove_project(call: Call[Why]) -> Changed:
    """Remove all files of a hosted project for ever; its name stays reserved."""
    return await _carry_out(remove, call)


async def _carry_out(change: Callable[[Connection, Change], Awaitable[Outcome]], call: Call[Why]) -> Changed:
    version = parse_version(call.path["version"]) if "version" in call.path else None
    scope = Scope(call.project, version, call.path.get("filename"))
    async with as_expected(call.project) as connection:
        return _changed(call, await change(connection, Change(call.actor, scope, call.sent.reason)))


def _changed[T: Input](call: Call[T], outcome: Outcome) -> Changed:
    return Changed(project=call.project, serial=outcome.serial, changed=outcome.changed, files=outcome.filenames)
