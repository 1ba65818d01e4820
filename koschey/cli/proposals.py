"""Show the decisions that await a second person. The same decision by a second account makes one active.

Example: koschey proposals
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.quarantine.attention import OpenProposal, read_proposals
from koschey.settings import Settings
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal


@click.command("proposals", help=__doc__)
@DATA
@JSON
def command(data: Path | None, *, as_json: bool) -> None:
    """Print a row for each proposal."""
    run_on(data, lambda settings: _show(settings, as_json=as_json))


async def _show(settings: Settings, *, as_json: bool) -> None:
    async with open_database(settings) as pool:
        proposals = await read_proposals(pool)
    if as_json:
        say_json(proposals)
    elif proposals:
        Terminal().print(_table(proposals))
    else:
        Terminal().print("No decision awaits a second person.")


def _table(proposals: Sequence[OpenProposal]) -> Table:
    table = Table("what", "project", "version", "files", "by", "since (UTC)", "why", "ticket")
    for proposal in proposals:
        what = (proposal.action, proposal.project, proposal.version or "all", str(len(proposal.digests)))
        table.add_row(*what, proposal.actor, minute(proposal.at), proposal.reason, proposal.ticket or "")
    return table
