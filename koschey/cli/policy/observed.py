"""Show what is served only because of observation, and what its state would be without it.

Example: koschey policy observed
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.cli.policy.base import preview_as_json, usual_of
from koschey.governance.report import observed
from koschey.policy.prediction import Prediction
from koschey.settings import Settings
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal


@click.command("observed", help=__doc__)
@DATA
@JSON
def command(data: Path | None, *, as_json: bool) -> None:
    """Print a row for each file."""
    run_on(data, lambda settings: _show(settings, as_json=as_json))


async def _show(settings: Settings, *, as_json: bool) -> None:
    async with open_database(settings) as pool, pool.acquire() as connection:
        found = await observed(connection, usual_of(settings))
    if as_json:
        say_json(preview_as_json(found))
    elif found:
        Terminal().print(_observed_table(found))
    else:
        Terminal().print("Nothing is served only because of observation.")


def _observed_table(found: Sequence[Prediction]) -> Table:
    table = Table("project", "version", "file", "would be", "until (UTC)", "why")
    for prediction in found:
        file, ends = prediction.item.file, minute(prediction.release_at) or "a reviewer decides"
        cells = (file.project, file.version, file.filename, prediction.after.state, ends, prediction.after.reason)
        table.add_row(*cells)
    return table
