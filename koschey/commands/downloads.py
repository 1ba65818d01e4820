"""Recalls, and who took which file: for people, for machines, and for a spreadsheet."""

import csv
import sys
from collections.abc import Sequence

from packaging.utils import NormalizedName
from rich.console import Console
from rich.table import Table

from koschey.commands.confirming import confirmed
from koschey.commands.database import open_database, operator
from koschey.db.downloads import Download, select_all_downloads
from koschey.db.projects import select_project
from koschey.errors import NotKnown
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.settings import Settings
from koschey.standards.names import parse_scope
from koschey.standards.simple_json import format_time
from koschey.terminal import say, say_json
from koschey.texts import on_one_line

COLUMNS = ("at", "version", "filename", "sha256", "account", "token", "address", "user_agent")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With what a cell begins that a spreadsheet would compute; a user agent is whatever a client sends."""


async def recall(settings: Settings, scope: str, reason: str, *, yes: bool, as_json: bool, out: Console) -> None:
    """Block what was let out, and print who has it. Raises as `decide` does."""
    project, version = parse_scope(scope)
    decision = Decision(Choice.RECALL, project, version, reason)
    async with open_database(settings) as pool:
        async with pool.acquire() as connection:
            outcome = await confirmed(
                lambda consent: decide(connection, operator(), decision, consent), project, yes=yes
            )
        # Once the recall is committed: from then on nobody gets a byte who is not on the list.
        taken = await select_all_downloads(pool, project, version)
    if as_json:
        decided = {"choice": Choice.RECALL, "scope": scope, "serial": outcome.serial, "files": outcome.filenames}
        say_json(decided | {"downloads": [_as_json(download) for download in taken]})
        return
    say(f"recall {scope}: {outcome}")
    print_downloads(taken, scope, out)


async def list_downloads(settings: Settings, scope: str, *, form: str, out: Console) -> None:
    """Print who took files of a release or of a project. Raises `NotKnown` where there is no such project."""
    project, version = parse_scope(scope)
    taken = await _select(settings, project, version)
    if form == "json":
        say_json([_as_json(download) for download in taken])
    elif form == "csv":
        rows = csv.writer(sys.stdout)
        rows.writerow(COLUMNS)
        rows.writerows([_cell(value) for value in _as_json(download).values()] for download in taken)
    else:
        print_downloads(taken, scope, out)


async def _select(settings: Settings, project: NormalizedName, version: str | None) -> list[Download]:
    async with open_database(settings) as pool:
        if await select_project(pool, project) is None:
            raise NotKnown(f"{project} is not known here; check the spelling")
        return await select_all_downloads(pool, project, version)


def print_downloads(taken: Sequence[Download], scope: str, out: Console) -> None:
    """Print who took which file, as a table."""
    if not taken:
        out.print(f"Nobody has taken a file of {scope}.")
        return
    table = Table("at (UTC)", "file", "account", "token", "address", "user agent")
    for download in taken:
        who = (download.account, download.token, download.address, download.user_agent)
        table.add_row(f"{download.at:%Y-%m-%d %H:%M:%S}", download.filename, *(value or "" for value in who))
    out.print(table)
    out.print(f"{len(taken)} download{'s' if len(taken) != 1 else ''}")


def _as_json(download: Download) -> dict[str, str | None]:
    values = download._asdict() | {"at": format_time(download.at)}
    return {name: values[name] for name in COLUMNS}


def _cell(value: str | None) -> str:
    text = on_one_line(value or "")
    return f"'{text}" if text.startswith(FORMULA) else text
