"""What waits, and decisions about it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

import click
from packaging.utils import NormalizedName
from rich.console import Console
from rich.table import Table

from koschey.commands.database import open_database, operator
from koschey.db.files import select_files_by_state
from koschey.model import StandingFile, State
from koschey.publish.decide import Choice, Decision, decide
from koschey.settings import Settings
from koschey.standards.names import parse_name, parse_scope, parse_specifier
from koschey.standards.simple_json import format_time

WAITING = (State.HELD, State.CONFLICT, State.MALFORMED)


async def list_quarantine(settings: Settings, *, as_json: bool, out: Console) -> None:
    """Print a row for each release that waits."""
    async with open_database(settings) as pool:
        held = await select_files_by_state(pool, WAITING)
    releases = [list(group) for _, group in groupby(sorted(held, key=_release_key), key=_release_key)]
    releases.sort(key=lambda release: _release_at(release) or datetime.max.replace(tzinfo=UTC))
    if as_json:
        click.echo(json.dumps([_as_json(release) for release in releases]))
    elif releases:
        out.print(_table(releases))
    else:
        out.print("Nothing is held.")


async def decide_scope(settings: Settings, choice: str, scope: str, reason: str, *, as_json: bool) -> None:
    """Carry out a decision from the command line. Raises `UsageError` for a scope that the choice does not take."""
    project, version = _parse_scope(Choice(choice), scope)
    async with open_database(settings) as pool, pool.acquire() as connection:
        outcome = await decide(connection, operator(), Decision(Choice(choice), project, version, reason))
    if as_json:
        click.echo(json.dumps({"choice": choice, "scope": scope, "serial": outcome.serial, "files": outcome.filenames}))
    else:
        click.echo(f"{choice} {scope}: {outcome}")


def _parse_scope(choice: Choice, scope: str) -> tuple[NormalizedName, str | None]:
    if choice is Choice.APPROVE:
        return parse_specifier(scope)
    if choice in (Choice.TRUST, Choice.UNTRUST):
        return parse_name(scope), None
    return parse_scope(scope)


def _release_key(item: StandingFile) -> tuple[str, str, State]:
    return item.file.project, item.file.version, item.standing.state


def _release_at(release: Sequence[StandingFile]) -> datetime | None:
    return min((item.standing.release_at for item in release if item.standing.release_at), default=None)


def _table(releases: Sequence[Sequence[StandingFile]]) -> Table:
    table = Table("project", "version", "files", "state", "until (UTC)", "why")
    for release in releases:
        first, release_at = release[0], _release_at(release)
        table.add_row(
            first.file.project,
            first.file.version,
            str(len(release)),
            first.standing.state,
            f"{release_at:%Y-%m-%d %H:%M}" if release_at else "a person decides",
            first.standing.reason,
        )
    return table


def _as_json(release: Sequence[StandingFile]) -> dict[str, object]:
    first, release_at = release[0], _release_at(release)
    return {
        "project": first.file.project,
        "version": first.file.version,
        "state": first.standing.state,
        "release_at": format_time(release_at) if release_at else None,
        "reason": first.standing.reason,
        "files": [
            {"filename": item.file.filename, "sha256": item.file.sha256, "stored": item.file.stored_at is not None}
            for item in release
        ],
    }
