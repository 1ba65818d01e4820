"""Show an account: its groups, what is granted to it and to them, and its tokens.

Example: koschey account show ada
"""

from pathlib import Path

import click

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.governance.accounts import AccountShown, show_account
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json


@click.command("show", help=__doc__)
@click.argument("name")
@DATA
@JSON
def command(name: str, data: Path | None, *, as_json: bool) -> None:
    """Print the account."""

    async def show(settings: Settings) -> None:
        async with open_database(settings) as pool:
            shown = await show_account(pool, name)
        if as_json:
            say_json(shown)
        else:
            _print(shown)

    run_on(data, show)


def _print(account: AccountShown) -> None:
    state = f"disabled since {minute(account.disabled_at)} UTC" if account.disabled_at else "active"
    say(f"{account.name}: {state}, {'with' if account.has_password else 'without'} a password")
    say(f"groups: {', '.join(account.groups) or 'none'}")
    say(f"active tokens: {account.tokens}")
    say("roles:" if account.grants else "roles: none; every account may read")
    for grant in account.grants:
        what = "all projects" if grant.scope == "*" else grant.scope
        where = "" if grant.index == "*" else f" in {grant.index}"
        by = f", by the group {grant.group}" if grant.group else ""
        say(f"  {grant.role} of {what}{where}{by}")
