"""Make a token of an account, and print it. Nobody can see it again.

It may do what its account may do, but only the actions and projects that are named here.

Example: koschey token add ci --name 'build server' --action upload --project 'acme-*' --expires 180d
"""

from collections.abc import Sequence
from pathlib import Path

import click

from koschey.auth.permissions import Action
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.db.projects import select_now
from koschey.governance.terms import parse_expiry
from koschey.governance.tokens import MadeToken, TokenTerms, add_token
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json


@click.command("add", help=__doc__)
@click.argument("account")
@click.option("--name", required=True, help="Where the token is used; it is shown in lists.")
@click.option(
    "--action",
    "actions",
    multiple=True,
    required=True,
    type=click.Choice([each.value for each in Action]),
    help="What it allows; may be repeated.",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="NAME",
    help="A project, or a pattern 'NAME-*', for which it allows that; may be repeated.  [default: all]",
)
@click.option("--index", "index_name", default="*", help="The index for which it allows that.  [default: all]")
@click.option(
    "--expires",
    metavar="WHEN",
    help="When it expires: '2027-01-31', '2027-01-31T12:00Z', or '14d'; at most 366 days from now.  [default: 90d]",
)
@DATA
@JSON
def command(
    account: str,
    name: str,
    actions: Sequence[str],
    projects: Sequence[str],
    index_name: str,
    expires: str | None,
    data: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make the token."""

    async def make(settings: Settings) -> None:
        async with open_database(settings) as pool, pool.acquire() as connection:
            end = parse_expiry(expires, await select_now(connection)) if expires is not None else None
            terms = TokenTerms(name, actions, projects or None, index_name, end)
            made = await add_token(connection, operator(), account, terms)
        if as_json:
            say_json(made)
        else:
            _print(made)

    run_on(data, make)


def _print(made: MadeToken) -> None:
    shown = made.shown
    say(made.token)
    what = f"may {', '.join(shown.actions or [])} {', '.join(shown.scopes) if shown.scopes else 'all projects'}"
    ends = f"expires {minute(shown.expires_at)} UTC" if shown.expires_at else "does not expire"
    # Standard output has the token alone, so that a script can store it.
    say(f"koschey: token {shown.id} of {shown.account} {what}, and {ends}. It is not shown again.", err=True)
