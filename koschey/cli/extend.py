"""Hold a release longer. The command never shortens the time.

Example: koschey extend 'six==1.17.0' --days 14 --reason 'we review it'
"""

from pathlib import Path

import click

from koschey.cli.base.decision import run_decision
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.quarantine.decision import Choice


@click.command("extend", help=__doc__)
@click.argument("scope", metavar="NAME==VERSION")
@REASON
@click.option("--days", type=float, required=True, help="Hold it for at least this many days from now.")
@DATA
@JSON
def command(scope: str, reason: str, days: float, data: Path | None, *, as_json: bool) -> None:
    """Decide as `extend`."""
    run_decision(data, Choice.EXTEND, scope, reason, as_json=as_json, days=days)
