"""Show who downloaded files of a release or of a project.

Example: koschey downloads 'six==1.17.0' --csv
"""

import csv
import sys
from pathlib import Path

import click

from koschey.cli.base.downloads import COLUMNS, download_as_json, print_downloads
from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.db.downloads import Download, select_all_downloads
from koschey.db.projects import select_project
from koschey.errors import NotKnown
from koschey.settings import Settings
from koschey.standards.names import parse_scope
from koschey.terminal.lines import say_json
from koschey.texts import on_one_line

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of cells that a spreadsheet would compute; a client chooses its user agent freely."""


@click.command("downloads", help=__doc__)
@click.argument("scope", metavar="NAME[==VERSION]")
@DATA
@JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
def command(scope: str, data: Path | None, *, as_json: bool, as_csv: bool) -> None:
    """Print the download log of what the scope names."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")

    async def show(settings: Settings) -> None:
        downloads = await _select(settings, scope)
        if as_json:
            say_json([download_as_json(download) for download in downloads])
        elif as_csv:
            rows = csv.writer(sys.stdout)
            rows.writerow(COLUMNS)
            rows.writerows([_cell(value) for value in download_as_json(download).values()] for download in downloads)
        else:
            print_downloads(downloads, scope)

    run_on(data, show)


async def _select(settings: Settings, scope: str) -> list[Download]:
    project, version = parse_scope(scope)
    async with open_database(settings) as pool:
        if await select_project(pool, project) is None:
            raise NotKnown(f"{project} is not known here; check the spelling")
        return await select_all_downloads(pool, project, version)


def _cell(value: str | None) -> str:
    text = on_one_line(value or "")
    return f"'{text}" if text.startswith(FORMULA) else text
