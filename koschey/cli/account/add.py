"""Add an account.

The command asks for the password, which needs at least 12 characters. An account of a build server needs none: give it
a token. A role that is given here is for all projects; `koschey grant add` limits one to some.

Example: koschey account add ada --role admin
"""

from collections.abc import Sequence
from pathlib import Path

import click

from koschey.auth.passwords import hash_password
from koschey.auth.permissions import Role
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.passwords import NO_PASSWORD, PASSWORD_FILE, read_password
from koschey.cli.base.rights import print_change
from koschey.governance.accounts import AccountChange, add_account, is_account
from koschey.governance.rights import parse_account_name
from koschey.settings import Settings


@click.command("add", help=__doc__)
@click.argument("name")
@click.option("--role", type=click.Choice([each.value for each in Role]), help="A role for all projects.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group of the account; may be repeated.")
@PASSWORD_FILE
@NO_PASSWORD
@click.option("--if-missing", is_flag=True, help="Do nothing if there is an account of that name; for scripts.")
@DATA
@JSON
def command(
    name: str,
    role: str | None,
    groups: Sequence[str],
    password_file: Path | None,
    data: Path | None,
    *,
    no_password: bool,
    if_missing: bool,
    as_json: bool,
) -> None:
    """Add the account."""

    async def add(settings: Settings) -> None:
        async with open_database(settings) as pool, pool.acquire() as connection:
            if if_missing and await is_account(connection, parse_account_name(name)):
                print_change("add account", AccountChange(name, None), as_json=as_json)
                return
            password = read_password(parse_account_name(name), password_file, none=no_password)
            hashed = await hash_password(password) if password is not None else None
            change = await add_account(connection, operator(), name, hashed, role, groups)
        print_change("add account", change, as_json=as_json)

    run_on(data, add)
