"""Set the groups of an account: it is a member of exactly these. Without a GROUP it is a member of none.

Example: koschey account groups ada web data
"""

from collections.abc import Sequence
from pathlib import Path

import click

from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rights import print_change
from koschey.governance.accounts import set_groups
from koschey.settings import Settings


@click.command("groups", help=__doc__)
@click.argument("name")
@click.argument("groups", metavar="[GROUP]...", nargs=-1)
@DATA
@JSON
def command(name: str, groups: Sequence[str], data: Path | None, *, as_json: bool) -> None:
    """Set the groups."""

    async def change(settings: Settings) -> None:
        async with open_database(settings) as pool, pool.acquire() as connection:
            done = await set_groups(connection, operator(), name, groups)
        print_change("set groups", done, as_json=as_json)

    run_on(data, change)
