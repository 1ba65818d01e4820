"""Write all rules except exceptions to FILE, or to standard output, as TOML.

Example: koschey policy export policy.toml
"""

from pathlib import Path

import click

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA
from koschey.errors import UsageError
from koschey.governance.changes import select_policy
from koschey.governance.policy_file import render_policy
from koschey.settings import Settings
from koschey.terminal.lines import write_document


@click.command("export", help=__doc__)
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@DATA
def command(file: str | None, data: Path | None) -> None:
    """Write the policy."""
    run_on(data, lambda settings: _export(settings, None if file in (None, "-") else Path(file)))


async def _export(settings: Settings, file: Path | None) -> None:
    async with open_database(settings) as pool, pool.acquire() as connection:
        text = render_policy(await select_policy(connection))
    if file is None:
        write_document(text)
    else:
        _write(file, text)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None
