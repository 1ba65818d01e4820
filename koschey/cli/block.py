"""Block a release or a project, so that none of its files is served.

If a whole project is in use, the command shows how much of it, and asks for its name.

Example: koschey block 'six==1.17.0' --reason malware
"""

from pathlib import Path

import click

from koschey.cli.base.decision import run_decision
from koschey.cli.base.options import DATA, JSON, REASON, YES
from koschey.quarantine.decision import Choice


@click.command("block", help=__doc__)
@click.argument("scope", metavar="NAME[==VERSION]")
@REASON
@YES
@DATA
@JSON
def command(scope: str, reason: str, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Decide as `block`."""
    run_decision(data, Choice.BLOCK, scope, reason, as_json=as_json, yes=yes)
