"""List accounts, also disabled ones.

Example: koschey account list
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.listing import show_list
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.governance.accounts import AccountListed, list_all_accounts


@click.command("list", help=__doc__)
@DATA
@JSON
def command(data: Path | None, *, as_json: bool) -> None:
    """Print a row for each account."""
    show_list(data, list_all_accounts, _table, "There is no account.", as_json=as_json)


def _table(accounts: Sequence[AccountListed]) -> Table:
    table = Table("account", "groups", "password", "tokens", "added (UTC)", "disabled (UTC)")
    for each in accounts:
        password = "yes" if each.has_password else "no"
        dates = minute(each.created_at), minute(each.disabled_at)
        table.add_row(each.name, ", ".join(each.groups), password, str(each.tokens), *dates)
    return table
