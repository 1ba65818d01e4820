"""Set the password of an account, and end its sessions.

Example: koschey account password ada
"""

from pathlib import Path

import click

from koschey.auth.passwords import hash_password
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.passwords import NO_PASSWORD, PASSWORD_FILE, read_password
from koschey.cli.base.rights import print_change
from koschey.governance.accounts import set_password
from koschey.settings import Settings


@click.command("password", help=__doc__)
@click.argument("name")
@PASSWORD_FILE
@NO_PASSWORD
@DATA
@JSON
def command(name: str, password_file: Path | None, data: Path | None, *, no_password: bool, as_json: bool) -> None:
    """Set the password."""

    async def change(settings: Settings) -> None:
        password = read_password(name, password_file, none=no_password)
        hashed = await hash_password(password) if password is not None else None
        async with open_database(settings) as pool, pool.acquire() as connection:
            done = await set_password(connection, operator(), name, hashed)
        print_change("set password", done, as_json=as_json)

    run_on(data, change)
