"""Show the newest alerts, and when the webhook accepted each.

Example: koschey alerts
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.listing import show_list
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.quarantine.attention import RaisedAlert, read_alerts


@click.command("alerts", help=__doc__)
@DATA
@JSON
def command(data: Path | None, *, as_json: bool) -> None:
    """Print a row for each alert."""
    show_list(data, read_alerts, _table, "There is no alert.", as_json=as_json)


def _table(alerts: Sequence[RaisedAlert]) -> Table:
    table = Table("at (UTC)", "what", "project", "version", "file", "serial", "sent (UTC)")
    for alert in alerts:
        where = (alert.project or "", alert.version or "", alert.filename or "")
        table.add_row(minute(alert.at), alert.kind, *where, str(alert.serial), minute(alert.sent_at))
    return table
