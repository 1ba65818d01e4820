"""Changes to hosted projects: yank, remove, status."""

from koschey.auth.permissions import Action
from koschey.hosting.changes import HostedChange, HostedOutcome, Scope
from koschey.hosting.projects import remove, set_status, unyank, yank
from koschey.standards.names import parse_version
from koschey.web.api.expected import read_expected
from koschey.web.api.operations import Call, operation
from koschey.web.api.types import Changed, Input, NewStatus, Why
from koschey.web.context import resources

PROJECT = "/projects/<project>"
RELEASE = f"{PROJECT}/releases/<version>"
FILE = f"{PROJECT}/files/<filename>"


@operation("PUT", f"{PROJECT}/status", NewStatus, Changed, needs=Action.MANAGE)
async def put_status(call: Call[NewStatus]) -> Changed:
    """Set the status of a hosted project (PEP 792)."""
    change = HostedChange(call.actor, Scope(call.project), call.sent.reason, read_expected())
    return _changed(call, await resources().with_connection(set_status, call.sent.status, change))


@operation("POST", f"{RELEASE}/yank", Why, Changed, needs=Action.YANK)
async def yank_release(call: Call[Why]) -> Changed:
    """Yank a hosted release (PEP 592)."""
    return _changed(call, await resources().with_connection(yank, _change(call)))


@operation("DELETE", f"{RELEASE}/yank", Why, Changed, needs=Action.YANK)
async def unyank_release(call: Call[Why]) -> Changed:
    """Unyank a hosted release (PEP 592)."""
    return _changed(call, await resources().with_connection(unyank, _change(call)))


@operation("POST", f"{FILE}/yank", Why, Changed, needs=Action.YANK)
async def yank_file(call: Call[Why]) -> Changed:
    """Yank one hosted file (PEP 592)."""
    return _changed(call, await resources().with_connection(yank, _change(call)))


@operation("DELETE", f"{FILE}/yank", Why, Changed, needs=Action.YANK)
async def unyank_file(call: Call[Why]) -> Changed:
    """Unyank one hosted file (PEP 592)."""
    return _changed(call, await resources().with_connection(unyank, _change(call)))


@operation("DELETE", RELEASE, Why, Changed, needs=Action.MANAGE)
async def remove_release(call: Call[Why]) -> Changed:
    """Remove a hosted release permanently; its filenames stay used."""
    return _changed(call, await resources().with_connection(remove, _change(call)))


@operation("DELETE", FILE, Why, Changed, needs=Action.MANAGE)
async def remove_file(call: Call[Why]) -> Changed:
    """Remove one hosted file permanently; its filename stays used."""
    return _changed(call, await resources().with_connection(remove, _change(call)))


@operation("DELETE", PROJECT, Why, Changed, needs=Action.MANAGE)
async def remove_project(call: Call[Why]) -> Changed:
    """Remove all files of a hosted project permanently; its name stays reserved."""
    return _changed(call, await resources().with_connection(remove, _change(call)))


def _change(call: Call[Why]) -> HostedChange:
    version = parse_version(call.path["version"]) if "version" in call.path else None
    scope = Scope(call.project, version, call.path.get("filename"))
    return HostedChange(call.actor, scope, call.sent.reason, read_expected())


def _changed[T: Input](call: Call[T], outcome: HostedOutcome) -> Changed:
    return Changed(project=call.project, serial=outcome.serial, changed=outcome.changed, files=outcome.filenames)
