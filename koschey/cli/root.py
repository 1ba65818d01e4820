"""The command that all others hang on, and what they share."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from koschey import __version__
from koschey.settings import Settings, load_settings

DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=True),
    help="Folder in which `koschey up` keeps everything.  [default: KOSCHEY_DATA, or a folder of your account]",
)
REASON = click.option("--reason", required=True, help="Why; it is kept with the decision.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="koschey")
def cli() -> None:
    """Koschey: a Python package index that mirrors, hosts, and holds new public releases in quarantine."""


def run_on(data: Path | None, command: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Run a command against the settings of the environment, or of the instance that `koschey up` runs."""
    from koschey.embedded import default_data_folder, settings_file  # noqa: PLC0415

    settings = load_settings(file=settings_file(data or default_data_folder()))
    asyncio.run(command(settings))
