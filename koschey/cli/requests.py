"""Show the open requests for releases, and who made them.

Example: koschey requests
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.listing import show_list
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.quarantine.attention import OpenRequest, read_requests


@click.command("requests", help=__doc__)
@DATA
@JSON
def command(data: Path | None, *, as_json: bool) -> None:
    """Print a row for each request."""
    show_list(data, read_requests, _table, "No request is open.", as_json=as_json)


def _table(found: Sequence[OpenRequest]) -> Table:
    table = Table("project", "version", "who", "times", "last (UTC)", "why")
    for each in found:
        table.add_row(each.project, each.version, each.who, str(each.times), minute(each.last_at), each.reason)
    return table
