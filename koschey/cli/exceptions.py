"""Show the active exceptions, and who requested them. The first to expire comes first.

Example: koschey exceptions --within 14
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.quarantine.attention import FileException, read_exceptions
from koschey.settings import Settings
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal


@click.command("exceptions", help=__doc__)
@click.option(
    "--within", type=click.FloatRange(0, 36500), metavar="DAYS", help="Show only those that expire within so many days."
)
@DATA
@JSON
def command(within: float | None, data: Path | None, *, as_json: bool) -> None:
    """Print a row for each exception."""
    run_on(data, lambda settings: _show(settings, within, as_json=as_json))


async def _show(settings: Settings, within: float | None, *, as_json: bool) -> None:
    async with open_database(settings) as pool:
        exceptions = await read_exceptions(pool, within)
    if as_json:
        say_json(exceptions)
    elif exceptions:
        Terminal().print(_table(exceptions))
    else:
        none = "No exception is active." if within is None else f"No exception expires within {within:g} days."
        Terminal().print(none)


def _table(exceptions: Sequence[FileException]) -> Table:
    table = Table("until (UTC)", "project", "version", "file", "by", "ticket", "why")
    for each in exceptions:
        people = f"{each.actor}, {each.seconded_by}" if each.seconded_by else each.actor
        said = (people, each.ticket or "", each.reason)
        table.add_row(minute(each.expires_at), each.project, each.version or "", each.filename, *said)
    return table
