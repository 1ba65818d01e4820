"""Show the decisions that await a second person. The same decision by a second account makes one active.

Example: koschey proposals
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.listing import show_list
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.quarantine.attention import OpenProposal, read_proposals


@click.command("proposals", help=__doc__)
@DATA
@JSON
def command(data: Path | None, *, as_json: bool) -> None:
    """Print a row for each proposal."""
    show_list(data, read_proposals, _table, "No decision awaits a second person.", as_json=as_json)


def _table(proposals: Sequence[OpenProposal]) -> Table:
    table = Table("what", "project", "version", "files", "by", "since (UTC)", "why", "ticket")
    for proposal in proposals:
        what = (proposal.action, proposal.project, proposal.version or "all", str(len(proposal.digests)))
        table.add_row(*what, proposal.actor, minute(proposal.at), proposal.reason, proposal.ticket or "")
    return table
