"""Disable an account: its sessions end, and its password and tokens prove nothing.

It takes effect within a second in every process. If the last admin is disabled, the command warns: only the command
line can make another one.

Example: koschey account disable ada --reason 'changed teams'
"""

from pathlib import Path

import click

from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.cli.base.rights import print_change
from koschey.governance.accounts import disable_account
from koschey.settings import Settings


@click.command("disable", help=__doc__)
@click.argument("name")
@REASON
@DATA
@JSON
def command(name: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    """Change the account."""

    async def change(settings: Settings) -> None:
        async with open_database(settings) as pool, pool.acquire() as connection:
            done = await disable_account(connection, operator(), name, reason)
        print_change("disable account", done, as_json=as_json)

    run_on(data, change)
