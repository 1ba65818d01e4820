"""Show the held releases, until when they are held, and why.

Security fixes come first, then the releases whose window ends the soonest.

Example: koschey quarantine --project kafka --limit 20
"""

import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from packaging.utils import canonicalize_name
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.db.pending import PendingFile, PendingRelease, choose, select_pending_files, walk_pending
from koschey.db.pool import Pool
from koschey.db.requests import select_request_counts
from koschey.settings import Settings
from koschey.standards.simple_json import format_time
from koschey.terminal.lines import say_json_items
from koschey.terminal.tables import Terminal


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the held releases are shown."""

    project: str
    limit: int
    offset: int


ALL = Selection("", sys.maxsize, 0)


@dataclass(frozen=True, slots=True)
class Held:
    """A held release, with what people say about it."""

    release: PendingRelease
    asked: int
    """How many people have requested it."""
    files: Sequence[PendingFile]


@click.command("quarantine", help=__doc__)
@click.option("--project", default="", metavar="TEXT", help="Only projects whose names contain this text.")
@click.option("--limit", type=click.IntRange(1), default=sys.maxsize, show_default="all", help="Number of releases.")
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True, help="Number of releases to skip.")
@DATA
@JSON
def command(project: str, limit: int, offset: int, data: Path | None, *, as_json: bool) -> None:
    """Print a row for each release that is held."""
    selection = Selection(canonicalize_name(project.strip()), limit, offset)
    run_on(data, lambda settings: _show(settings, selection, as_json=as_json))


async def _show(settings: Settings, selection: Selection, *, as_json: bool) -> None:
    async with open_database(settings) as pool:
        # Each portion is printed before the next is read: there may be more releases than fit into memory.
        portions = _read(pool, selection)
        if as_json:
            await say_json_items(_as_json(held) async for portion in portions for held in portion)
            return
        terminal, shown = Terminal(), 0
        async for portion in portions:
            terminal.print(_table(portion))
            shown += len(portion)
        if not shown:
            terminal.print("Nothing is held." if selection == ALL else "Nothing of that is held.")


async def _read(pool: Pool, selection: Selection) -> AsyncIterator[list[Held]]:
    wanted = await choose(pool, selection.project)
    async for releases in walk_pending(pool, wanted, limit=selection.limit, offset=selection.offset):
        files = await select_pending_files(pool, releases)
        asked = await select_request_counts(pool, ((each.project, each.version) for each in releases))
        yield [
            Held(each, asked.get(name, 0), files.get((*name, each.state), ()))
            for each in releases
            if (name := (each.project, each.version))
        ]


def _table(portion: Sequence[Held]) -> Table:
    table = Table("project", "version", "files", "state", "until (UTC)", "requests", "why")
    for held in portion:
        release = held.release
        table.add_row(
            release.project,
            release.version,
            str(release.files),
            release.state,
            minute(release.release_at) or "a reviewer decides",
            str(held.asked or ""),
            "; ".join(filter(None, (release.fixes, release.reason))),
        )
    return table


def _as_json(held: Held) -> dict[str, object]:
    release = held.release
    return {
        "project": release.project,
        "version": release.version,
        "state": release.state,
        "release_at": format_time(release.release_at) if release.release_at else None,
        "reason": release.reason,
        "fixes": release.fixes,
        "asked": held.asked,
        "files": [file._asdict() for file in held.files],
    }
