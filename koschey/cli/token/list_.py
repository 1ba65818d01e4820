"""List tokens, with when and from where each was last used.

Example: koschey token list --account ci
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.listing import show_list
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.governance.tokens import TokenShown, list_all_tokens


@click.command("list", help=__doc__)
@click.option("--account", metavar="NAME", help="Show only the tokens of this account.")
@click.option("--revoked", is_flag=True, help="Show revoked tokens, too.")
@DATA
@JSON
def command(account: str | None, data: Path | None, *, revoked: bool, as_json: bool) -> None:
    """Print a row for each token."""
    show_list(
        data,
        lambda pool: list_all_tokens(pool, account, revoked=revoked),
        _table,
        "There is no token.",
        as_json=as_json,
    )


def _table(tokens: Sequence[TokenShown]) -> Table:
    table = Table("id", "account", "name", "may", "projects", "expires (UTC)", "last used (UTC)", "from", "state")
    table.columns[0].no_wrap = True  # `koschey token revoke` needs the whole id
    for each in tokens:
        may = ", ".join(each.actions) if each.actions is not None else "all"
        projects = ", ".join(each.scopes) if each.scopes is not None else "all"
        used = minute(each.last_used_at), each.last_used_from or ""
        state = "active" if each.is_active else "revoked" if each.revoked_at else "inactive"
        expires = minute(each.expires_at) or "never"
        table.add_row(each.id, each.account, each.name, may, projects, expires, *used, state)
    return table
