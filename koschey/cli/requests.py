"""Show the open requests for releases, and who made them.

Example: koschey requests
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.quarantine.attention import OpenRequest, read_requests
from koschey.settings import Settings
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal


@click.command("requests", help=__doc__)
@DATA
@JSON
def command(data: Path | None, *, as_json: bool) -> None:
    """Print a row for each request."""
    run_on(data, lambda settings: _show(settings, as_json=as_json))


async def _show(settings: Settings, *, as_json: bool) -> None:
    async with open_database(settings) as pool:
        found = await read_requests(pool)
    if as_json:
        say_json(found)
    elif found:
        Terminal().print(_table(found))
    else:
        Terminal().print("No request is open.")


def _table(found: Sequence[OpenRequest]) -> Table:
    table = Table("project", "version", "who", "times", "last (UTC)", "why")
    for each in found:
        table.add_row(each.project, each.version, each.who, str(each.times), minute(each.last_at), each.reason)
    return table
