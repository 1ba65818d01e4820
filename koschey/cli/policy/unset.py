"""Lift a rule. Files that only this rule kept back are served again; released files stay released.

Held files that the rule blocked stay blocked until somebody unblocks them; the output says how.

Example: koschey policy unset window 'acme-*' --reason 'the contract ended'
"""

from pathlib import Path

import click

from koschey.cli.base.confirmation import confirmed
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON, YES
from koschey.cli.policy.base import SUBJECT, print_outcome, usual_of
from koschey.governance.changes import Agreed, unset_rule
from koschey.settings import Settings


@click.command("unset", help=__doc__)
@click.argument("kind")
@click.argument("scope")
@SUBJECT
@REASON
@YES
@DATA
@JSON
def command(
    kind: str, scope: str, subject: str | None, reason: str, data: Path | None, *, yes: bool, as_json: bool
) -> None:
    """Lift the rule."""

    async def carry_out(settings: Settings) -> None:
        lifted, usual = (kind, scope, subject, reason), usual_of(settings)
        async with open_database(settings) as pool, pool.acquire() as connection:
            outcome = await confirmed(
                lambda consent: unset_rule(connection, operator(), *lifted, Agreed(consent, usual)), scope, yes=yes
            )
        print_outcome(outcome, as_json=as_json)

    run_on(data, carry_out)
