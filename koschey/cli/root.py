"""The command that all others hang on, and what they share."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from koschey import __version__
from koschey.errors import StartError
from koschey.settings import Settings, load_instance, load_settings

DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=True),
    help="Folder in which `koschey up` keeps everything.  [default: KOSCHEY_DATA, or a folder of your account]",
)
REASON = click.option("--reason", required=True, help="Why; it is kept with the decision.")
YES = click.option("--yes", is_flag=True, help="Do not ask where it hides what is in use; for scripts.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="koschey")
def cli() -> None:
    """Koschey: a Python package index that mirrors, hosts, and holds new public releases in quarantine."""


def run_on(data: Path | None, command: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Run a command against the instance in the folder `data`; without one as the environment says, or KOSCHEY_DATA.

    Raises `StartError` where there is no such instance, or PostgreSQL goes away while the command runs.
    """
    from koschey.db.pool import LOST  # noqa: PLC0415
    from koschey.embedded import default_data_folder, settings_file  # noqa: PLC0415

    # What stands on the command line is meant, whatever else the environment is set up for.
    settings = load_instance(settings_file(data)) if data else load_settings(file=settings_file(default_data_folder()))
    try:
        asyncio.run(command(settings))
    except LOST as error:
        raise StartError(f"PostgreSQL cannot do this now: {error or type(error).__name__}; try again soon") from None


class InheritingGroup(click.Group):
    """A group that does something by itself, and whose options count for its commands too."""

    def invoke(self, context: click.Context) -> Any:
        """Make what is given to the group the default of each of its commands."""
        given = {name: value for name, value in context.params.items() if value}
        context.default_map = dict.fromkeys(self.commands, given)
        return super().invoke(context)
