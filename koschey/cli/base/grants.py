"""The commands that add and remove a grant."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from koschey.auth.permissions import Role
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.cli.base.rights import grant_words, warn_if_no_admin
from koschey.db.pool import Connection
from koschey.governance.grants import GrantChange, GrantTerms
from koschey.model import Actor
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json

type Operation = Callable[[Connection, Actor, GrantTerms, str], Awaitable[GrantChange]]


def granting_command(word: str, operation: Operation, help_: str | None) -> click.Command:
    """Return the command that adds or removes a grant by this operation."""

    @click.command(word, help=help_)
    @click.argument("role", type=click.Choice([each.value for each in Role]))
    @click.option("--account", metavar="NAME", help="The account that has the role.")
    @click.option("--group", metavar="NAME", help="The group whose members have the role.")
    @click.option(
        "--project", default="*", metavar="NAME", help="A project, or a pattern 'NAME-*'.  [default: all projects]"
    )
    @click.option("--index", "index_name", default="*", metavar="NAME", help="An index.  [default: all indexes]")
    @REASON
    @DATA
    @JSON
    def command(
        role: str,
        account: str | None,
        group: str | None,
        project: str,
        index_name: str,
        reason: str,
        data: Path | None,
        *,
        as_json: bool,
    ) -> None:
        terms = GrantTerms(role, account, group, project, index_name)
        run_on(data, lambda settings: _change(settings, word, operation, terms, reason, as_json=as_json))

    return command


async def _change(
    settings: Settings, word: str, operation: Operation, terms: GrantTerms, reason: str, *, as_json: bool
) -> None:
    async with open_database(settings) as pool, pool.acquire() as connection:
        change = await operation(connection, operator(), terms, reason)
    if as_json:
        say_json({"action": f"{word} grant", "grant": change.grant, "serial": change.serial})
    else:
        done = f"serial {change.serial}" if change.serial is not None else "nothing to change; this is already the case"
        say(f"{word} grant of {grant_words(change.grant)}: {done}")
    warn_if_no_admin(none=change.no_admin_left)
