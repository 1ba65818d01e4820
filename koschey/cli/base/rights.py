"""What the commands about accounts, tokens and grants share."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.db.pool import Connection
from koschey.governance.accounts import AccountChange
from koschey.governance.grants import GrantShown
from koschey.model import Actor
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json

type Operation = Callable[[Connection, Actor, str, str], Awaitable[AccountChange]]
"""Changes the account of a name, for a reason."""

NO_ADMIN = (
    "koschey: WARNING: no account may administer this index any more; only this command line can: "
    "koschey account add NAME --role admin"
)


def account_command(word: str, operation: Operation, help_: str | None) -> click.Command:
    """Return the command that changes an account by this operation, and needs nothing but a reason."""

    @click.command(word, help=help_)
    @click.argument("name")
    @REASON
    @DATA
    @JSON
    def command(name: str, reason: str, data: Path | None, *, as_json: bool) -> None:
        async def change(settings: Settings) -> None:
            async with open_database(settings) as pool, pool.acquire() as connection:
                done = await operation(connection, operator(), name, reason)
            print_change(f"{word} account", done, as_json=as_json)

        run_on(data, change)

    return command


def print_change(word: str, change: AccountChange, *, as_json: bool) -> None:
    """Print what a change of an account did."""
    if as_json:
        say_json({"action": word, "account": change.name, "serial": change.serial})
    else:
        done = f"serial {change.serial}" if change.serial is not None else "nothing to change; this is already the case"
        say(f"{word} {change.name}: {done}")
    warn_if_no_admin(none=change.no_admin_left)


def warn_if_no_admin(*, none: bool) -> None:
    """Warn on standard error that nobody is left who may administer."""
    if none:
        say(NO_ADMIN, err=True)


def grant_words(grant: GrantShown) -> str:
    """Return a grant in words: `maintainer of acme-* to the group web`."""
    who = grant.account if grant.account is not None else f"the group {grant.group}"
    where = "" if grant.index == "*" else f" in {grant.index}"
    what = "everything" if grant.scope == "*" else grant.scope
    return f"{grant.role} of {what}{where} to {who}"
