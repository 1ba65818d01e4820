"""Show the newest alerts, and when the webhook accepted each.

Example: koschey alerts
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.quarantine.attention import RaisedAlert, read_alerts
from koschey.settings import Settings
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal


@click.command("alerts", help=__doc__)
@DATA
@JSON
def command(data: Path | None, *, as_json: bool) -> None:
    """Print a row for each alert."""
    run_on(data, lambda settings: _show(settings, as_json=as_json))


async def _show(settings: Settings, *, as_json: bool) -> None:
    async with open_database(settings) as pool:
        alerts = await read_alerts(pool)
    if as_json:
        say_json(alerts)
    elif alerts:
        Terminal().print(_table(alerts))
    else:
        Terminal().print("There is no alert.")


def _table(alerts: Sequence[RaisedAlert]) -> Table:
    table = Table("at (UTC)", "what", "project", "version", "file", "serial", "sent (UTC)")
    for alert in alerts:
        where = (alert.project or "", alert.version or "", alert.filename or "")
        table.add_row(minute(alert.at), alert.kind, *where, str(alert.serial), minute(alert.sent_at))
    return table
