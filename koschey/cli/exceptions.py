"""Show the active exceptions, and who requested them. The first to expire comes first.

Example: koschey exceptions --within 14
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.listing import show_list
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.quarantine.attention import FileException, read_exceptions


@click.command("exceptions", help=__doc__)
@click.option(
    "--within", type=click.FloatRange(0, 36500), metavar="DAYS", help="Show only those that expire within so many days."
)
@DATA
@JSON
def command(within: float | None, data: Path | None, *, as_json: bool) -> None:
    """Print a row for each exception."""
    none = "No exception is active." if within is None else f"No exception expires within {within:g} days."
    show_list(data, lambda pool: read_exceptions(pool, within), _table, none, as_json=as_json)


def _table(exceptions: Sequence[FileException]) -> Table:
    table = Table("until (UTC)", "project", "version", "file", "by", "ticket", "why")
    for each in exceptions:
        people = f"{each.actor}, {each.seconded_by}" if each.seconded_by else each.actor
        said = (people, each.ticket or "", each.reason)
        table.add_row(minute(each.expires_at), each.project, each.version or "", each.filename, *said)
    return table
