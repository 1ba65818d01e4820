"""Add a rule. It replaces the rule of the same kind, scope and subject.

The kinds window, unknown-age and withdrawn take days or 'never'. The kind check takes off, note, hold or block, and a
--subject. The others take no VALUE, as they are either active or not: trusted, blocked, reserved, first-seen,
allowed-only, attested, observed, announced, second-person.

If the rule hides files in use, the command shows how many, and asks for the scope.

Example: koschey policy set window 'acme-*' 2 --reason 'our partners'
"""

from dataclasses import replace
from pathlib import Path

import click

from koschey.cli.base.confirmation import confirmed
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON, YES
from koschey.cli.policy.base import SUBJECT, print_outcome, usual_of
from koschey.db.findings import select_known_checks
from koschey.db.projects import select_now
from koschey.governance.changes import Agreed, set_rule
from koschey.governance.terms import Terms, parse_expiry
from koschey.settings import Settings
from koschey.terminal.lines import say


@click.command("set", help=__doc__)
@click.argument("kind")
@click.argument("scope")
@click.argument("value", required=False)
@SUBJECT
@click.option("--expires", metavar="WHEN", help="When it expires: '2027-01-31', '2027-01-31T12:00Z', or '14d'.")
@click.option("--ticket", help="The ticket that requests the rule.")
@REASON
@YES
@DATA
@JSON
def command(
    kind: str,
    scope: str,
    value: str | None,
    subject: str | None,
    expires: str | None,
    ticket: str | None,
    reason: str,
    data: Path | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Add the rule."""
    terms = Terms(kind, scope, value, subject, reason, ticket=ticket)
    run_on(data, lambda settings: _set(settings, terms, expires, yes=yes, as_json=as_json))


async def _set(settings: Settings, terms: Terms, expires: str | None, *, yes: bool, as_json: bool) -> None:
    usual = usual_of(settings)
    async with open_database(settings) as pool, pool.acquire() as connection:
        if expires is not None:
            terms = replace(terms, expires=parse_expiry(expires, await select_now(connection)))
        outcome = await confirmed(
            lambda consent: set_rule(connection, operator(), terms, Agreed(consent, usual)), terms.scope, yes=yes
        )
        known = {check.name for check in await select_known_checks(connection)}
    print_outcome(outcome, as_json=as_json)
    check = (terms.subject or "").partition("/")[0]
    if check and known and check not in known:
        say(f"koschey: no worker has registered a check {check!r}; `koschey policy show` lists the checks", err=True)
