"""Show the held releases, until when they are held, and why.

Security fixes come first, then the releases whose window ends the soonest.

Example: koschey quarantine
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.db.fast_lane import by_release, select_fast_lane
from koschey.db.files import select_files_by_state
from koschey.db.requests import select_request_counts
from koschey.model import StandingFile, State
from koschey.policy.states import PENDING
from koschey.settings import Settings
from koschey.standards.simple_json import format_time
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal

LAST = sys.maxsize
"""The place of a release that fixes nothing."""

type Fixes = Mapping[tuple[str, str], str]
"""What the releases of the fast lane fix."""
type RequestCounts = Mapping[tuple[str, str], int]
"""How many people have requested each release."""


@click.command("quarantine", help=__doc__)
@DATA
@JSON
def command(data: Path | None, *, as_json: bool) -> None:
    """Print a row for each release that is held."""
    run_on(data, lambda settings: _show(settings, as_json=as_json))


async def _show(settings: Settings, *, as_json: bool) -> None:
    async with open_database(settings) as pool:
        held = await select_files_by_state(pool, PENDING)
        fixes = by_release(await select_fast_lane(pool))
        requested = await select_request_counts(pool)
    releases = [list(group) for _, group in groupby(sorted(held, key=_release_key), key=_release_key)]
    releases.sort(key=lambda release: _release_at(release) or datetime.max.replace(tzinfo=UTC))
    places = list(fixes)
    releases.sort(key=lambda release: places.index(each) if (each := _release_key(release[0])[:2]) in fixes else LAST)
    if as_json:
        say_json([_as_json(release, fixes, requested) for release in releases])
    elif releases:
        Terminal().print(_table(releases, fixes, requested))
    else:
        Terminal().print("Nothing is held.")


def _release_key(item: StandingFile) -> tuple[str, str, State]:
    return item.file.project, item.file.version, item.standing.state


def _release_at(release: Sequence[StandingFile]) -> datetime | None:
    return min((item.standing.release_at for item in release if item.standing.release_at), default=None)


def _table(releases: Sequence[Sequence[StandingFile]], fixes: Fixes, requested: RequestCounts) -> Table:
    table = Table("project", "version", "files", "state", "until (UTC)", "requests", "why")
    for release in releases:
        first, release_at = release[0], _release_at(release)
        table.add_row(
            first.file.project,
            first.file.version,
            str(len(release)),
            first.standing.state,
            minute(release_at) or "a reviewer decides",
            str(requested.get(_release_key(first)[:2], "")),
            "; ".join(filter(None, (fixes.get(_release_key(first)[:2]), first.standing.reason))),
        )
    return table


def _as_json(release: Sequence[StandingFile], fixes: Fixes, requested: RequestCounts) -> dict[str, object]:
    first, release_at = release[0], _release_at(release)
    return {
        "project": first.file.project,
        "version": first.file.version,
        "state": first.standing.state,
        "release_at": format_time(release_at) if release_at else None,
        "reason": first.standing.reason,
        "fixes": fixes.get(_release_key(first)[:2]),
        "asked": requested.get(_release_key(first)[:2], 0),
        "files": [
            {"filename": item.file.filename, "sha256": item.file.sha256, "stored": item.file.stored_at is not None}
            for item in release
        ],
    }
