"""Revoke a token by its id, the part after 'kos_'. It takes effect within a second in every process.

Example: koschey token revoke w3GhT5oKz0aB --reason 'it was in a log'
"""

from pathlib import Path

import click

from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.governance.tokens import revoke_token
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json


@click.command("revoke", help=__doc__)
@click.argument("token", metavar="ID")
@REASON
@DATA
@JSON
def command(token: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    """Revoke the token."""

    async def revoke(settings: Settings) -> None:
        async with open_database(settings) as pool, pool.acquire() as connection:
            shown, serial = await revoke_token(connection, operator(), token, reason)
        if as_json:
            say_json({"action": "revoke token", "token": shown.id, "account": shown.account, "serial": serial})
        else:
            done = f"serial {serial}" if serial is not None else "nothing to change; it was revoked before"
            say(f"revoke token {shown.id} of {shown.account}: {done}")

    run_on(data, revoke)
