"""Print the journal, one entry on each line, for an archive or a SIEM.

Without a database, `koschey audit verify FILE` verifies what was printed as JSON lines.

Example: koschey audit export --after 1200
"""

from pathlib import Path

import click

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA
from koschey.db.journal_chain import select_chain
from koschey.governance.journal_export import RENDERERS, ExportFormat
from koschey.settings import Settings
from koschey.terminal.lines import write_document


@click.command("export", help=__doc__)
@click.option(
    "--format",
    "format_",
    type=click.Choice([each.value for each in ExportFormat]),
    default=ExportFormat.JSONL.value,
    show_default=True,
    help="JSON lines, or the Common Event Format.",
)
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="SERIAL", help="Print only later entries.")
@DATA
def command(format_: str, after: int, data: Path | None) -> None:
    """Print all entries after a serial."""

    async def export(settings: Settings) -> None:
        render = RENDERERS[ExportFormat(format_)]
        async with open_database(settings) as pool:
            async for entry in select_chain(pool, after):
                write_document(render(entry) + "\n")

    run_on(data, export)
