"""What waits, and decisions about it."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from packaging.utils import NormalizedName
from rich.console import Console
from rich.table import Table

from koschey.commands.confirming import confirmed
from koschey.commands.database import open_database, operator
from koschey.db.fast_lane import by_release, select_fast_lane
from koschey.db.files import select_files_by_state
from koschey.db.requests import select_asked
from koschey.model import Sha256, StandingFile, State
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.quarantine.decision import OF_ONE_RELEASE
from koschey.settings import Settings
from koschey.standards.names import parse_name, parse_scope, parse_specifier
from koschey.standards.simple_json import format_time
from koschey.terminal import say, say_json

WAITING = (State.HELD, State.CONFLICT, State.MALFORMED)
LAST = sys.maxsize
"""The place of a release that fixes nothing."""

type Fixes = Mapping[tuple[str, str], str]
"""What the releases of the fast lane fix."""
type Asked = Mapping[tuple[str, str], int]
"""How many have asked for each release."""


async def list_quarantine(settings: Settings, *, as_json: bool, out: Console) -> None:
    """Print a row for each release that waits: security fixes first, then what time releases first."""
    async with open_database(settings) as pool:
        held = await select_files_by_state(pool, WAITING)
        fixes = by_release(await select_fast_lane(pool))
        asked = await select_asked(pool)
    releases = [list(group) for _, group in groupby(sorted(held, key=_release_key), key=_release_key)]
    releases.sort(key=lambda release: _release_at(release) or datetime.max.replace(tzinfo=UTC))
    places = list(fixes)
    releases.sort(key=lambda release: places.index(each) if (each := _release_key(release[0])[:2]) in fixes else LAST)
    if as_json:
        say_json([_as_json(release, fixes, asked) for release in releases])
    elif releases:
        out.print(_table(releases, fixes, asked))
    else:
        out.print("Nothing is held.")


async def decide_scope(
    settings: Settings,
    choice: str,
    scope: str,
    reason: str,
    *,
    as_json: bool,
    days: float | None = None,
    filename: str | None = None,
    sha256: str | None = None,
    ticket: str | None = None,
    yes: bool = False,
) -> None:
    """Carry out a decision from the command line. Raises `UsageError` for a scope that the choice does not take."""
    project, version = _parse_scope(Choice(choice), scope)
    digest = Sha256(sha256.lower()) if sha256 else None
    decision = Decision(
        Choice(choice), project, version, reason, days=days, filename=filename, sha256=digest, ticket=ticket
    )
    async with open_database(settings) as pool, pool.acquire() as connection:
        outcome = await confirmed(lambda consent: decide(connection, operator(), decision, consent), project, yes=yes)
    if as_json:
        decided = {"choice": choice, "scope": scope, "serial": outcome.serial, "files": outcome.filenames}
        say_json(decided | {"waits": outcome.waits})
    else:
        say(f"{choice} {scope}: {outcome}")


def _parse_scope(choice: Choice, scope: str) -> tuple[NormalizedName, str | None]:
    if choice in OF_ONE_RELEASE:
        return parse_specifier(scope)
    if choice in (Choice.TRUST, Choice.UNTRUST):
        return parse_name(scope), None
    return parse_scope(scope)


def _release_key(item: StandingFile) -> tuple[str, str, State]:
    return item.file.project, item.file.version, item.standing.state


def _release_at(release: Sequence[StandingFile]) -> datetime | None:
    return min((item.standing.release_at for item in release if item.standing.release_at), default=None)


def _table(releases: Sequence[Sequence[StandingFile]], fixes: Fixes, asked: Asked) -> Table:
    table = Table("project", "version", "files", "state", "until (UTC)", "asked", "why")
    for release in releases:
        first, release_at = release[0], _release_at(release)
        table.add_row(
            first.file.project,
            first.file.version,
            str(len(release)),
            first.standing.state,
            f"{release_at:%Y-%m-%d %H:%M}" if release_at else "a person decides",
            str(asked.get(_release_key(first)[:2], "")),
            "; ".join(filter(None, (fixes.get(_release_key(first)[:2]), first.standing.reason))),
        )
    return table


def _as_json(release: Sequence[StandingFile], fixes: Fixes, asked: Asked) -> dict[str, object]:
    first, release_at = release[0], _release_at(release)
    return {
        "project": first.file.project,
        "version": first.file.version,
        "state": first.standing.state,
        "release_at": format_time(release_at) if release_at else None,
        "reason": first.standing.reason,
        "fixes": fixes.get(_release_key(first)[:2]),
        "asked": asked.get(_release_key(first)[:2], 0),
        "files": [
            {"filename": item.file.filename, "sha256": item.file.sha256, "stored": item.file.stored_at is not None}
            for item in release
        ],
    }
