"""What a developer asks of an index: why a release is not served, and to have it; and who has asked, for reviewers."""

from collections.abc import Sequence

from packaging.utils import NormalizedName
from rich.console import Console
from rich.table import Table

from koschey.commands.database import open_database, operator
from koschey.commands.index_api import IndexApi
from koschey.db.requests import select_requests
from koschey.errors import NotKnown
from koschey.model import State
from koschey.quarantine.explanations import Availability, Explanation, FileAccount, describe, explain
from koschey.quarantine.requests import Asked, ask
from koschey.settings import Settings
from koschey.standards.names import parse_specifier
from koschey.standards.simple_json import format_time
from koschey.standards.upstream_page import CAUSES
from koschey.terminal import say, say_json

type Release = tuple[NormalizedName, str]


async def explain_here(settings: Settings, scope: str, *, as_json: bool) -> None:
    """Explain a release by the database. Raises `NotKnown` where nothing is known of it."""
    project, version = parse_specifier(scope)
    async with open_database(settings) as pool:
        _show(await explain(pool, project, version, settings.window), as_json=as_json)


async def explain_there(index: str, scope: str, *, as_json: bool) -> None:
    """Explain a release by what an index says. Raises as `explain_here` does, `StartError` without an index."""
    project, version = parse_specifier(scope)
    async with IndexApi.open(index) as api:
        _show(await api.explain(project, version), as_json=as_json)


async def request_here(settings: Settings, scopes: Sequence[str], reason: str, *, as_json: bool) -> None:
    """Ask for releases in the database, in the name of whoever runs the command. Raises as `ask` does."""
    releases = [parse_specifier(scope) for scope in scopes]
    async with open_database(settings) as pool:
        asked = [await ask(pool, *release, operator().name, reason, settings.window) for release in releases]
    _tell([_requested(each) for each in asked], as_json=as_json)


async def request_there(index: str, scopes: Sequence[str], reason: str, *, as_json: bool) -> None:
    """Ask an index for releases. Raises `UsageError` where it says no, and `StartError` where it cannot be asked."""
    releases = [parse_specifier(scope) for scope in scopes]
    async with IndexApi.open(index) as api:
        asked = [await api.request(*release, reason) for release in releases]
    _tell(asked, as_json=as_json)


async def list_requests(settings: Settings, *, as_json: bool, out: Console) -> None:
    """Print who asked for what and was not answered."""
    async with open_database(settings) as pool:
        found = await select_requests(pool)
    if as_json:
        say_json([each._asdict() for each in found])
    elif found:
        table = Table("project", "version", "who", "times", "last (UTC)", "why")
        for each in found:
            last = f"{each.last_at:%Y-%m-%d %H:%M}"
            table.add_row(each.project, each.version, each.who, str(each.times), last, each.reason)
        out.print(table)
    else:
        out.print("Nobody waits for an answer.")


def _show(explanation: Explanation, *, as_json: bool) -> None:
    if explanation.state is Availability.MISSING:
        raise NotKnown(f"{explanation.project}=={explanation.version}: {explanation.reason}")
    if as_json:
        say_json(describe(explanation))
    else:
        say(*_lines(explanation))


def _lines(explanation: Explanation) -> list[str]:
    end = explanation.release_at
    until = f" until {end:%Y-%m-%d %H:%M} UTC" if end else ""
    lines = [f"{explanation.project} {explanation.version} is {explanation.state}{until}"]
    if explanation.reason:
        lines.append(f"  why:  {explanation.reason}")
    findings = dict.fromkeys(finding for file in explanation.files for finding in file.findings)
    lines += [f"  found: {finding}" for finding in findings]
    if len(explanation.files) > 1:
        lines += [f"  file: {file.filename} is {_say_state(file)}" for file in explanation.files]
    lines += [f"  left out: {file.name}: {CAUSES[file.cause]}" for file in explanation.left_out]
    if explanation.state is not Availability.SERVED:
        lines.append(
            f"  free: {f'{explanation.project} {explanation.free}' if explanation.free else 'no older version'}"
        )
    if explanation.request:
        lines.append(f"  ask:  {explanation.request} --reason WHY")
    return lines


def _say_state(file: FileAccount) -> str:
    if file.served:
        return "served"
    return f"{file.state}: {file.reason}" if file.state is State.MALFORMED else file.state


def _requested(asked: Asked) -> dict[str, object]:
    told = asked.explanation
    return {
        "project": told.project,
        "version": told.version,
        "who": asked.who,
        "times": asked.times,
        "state": told.state,
        "release_at": format_time(told.release_at) if told.release_at else None,
    }


def _tell(asked: Sequence[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        say_json(asked)
        return
    for each in asked:
        again = "" if each["times"] == 1 else f" ({each['times']} times by now)"
        until = f" until {str(each['release_at'])[:10]}" if each["release_at"] else ""
        release = f"{each['project']}=={each['version']}"
        say(f"{release} is {each['state']}{until}; {each['who']} has asked for it{again}")
