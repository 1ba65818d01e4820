"""List grants: who has which role, and for what.

Example: koschey grant list --group web
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.listing import show_list
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.governance.grants import GrantShown, list_all_grants


@click.command("list", help=__doc__)
@click.option("--account", metavar="NAME", help="Show only what is granted to this account itself.")
@click.option("--group", metavar="NAME", help="Show only what is granted to this group.")
@DATA
@JSON
def command(account: str | None, group: str | None, data: Path | None, *, as_json: bool) -> None:
    """Print a row for each grant."""
    show_list(data, lambda pool: list_all_grants(pool, account, group), _table, "There is no grant.", as_json=as_json)


def _table(grants: Sequence[GrantShown]) -> Table:
    table = Table("role", "account", "group", "projects", "index", "by", "at (UTC)")
    for each in grants:
        who = each.account or "", each.group or ""
        table.add_row(each.role, *who, each.scope, each.index, each.granted_by, minute(each.granted_at))
    return table
