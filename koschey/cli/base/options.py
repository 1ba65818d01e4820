"""Options that many commands share."""

from pathlib import Path

import click

INDEX_VARIABLES = ["UV_DEFAULT_INDEX", "PIP_INDEX_URL"]
"""Variables that name the index for installers; the developer commands read the same ones."""

DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=True),
    help="Data folder of `koschey up`.  [default: KOSCHEY_DATA, or a folder of your account]",
)
REASON = click.option("--reason", required=True, help="The reason; it is recorded with the decision.")
YES = click.option("--yes", is_flag=True, help="Do not ask before the change hides files in use; for scripts.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
INDEX_OR_DATABASE = click.option(
    "--index",
    metavar="URL",
    envvar=INDEX_VARIABLES,
    help="URL of the index's Simple API.  [default: UV_DEFAULT_INDEX, PIP_INDEX_URL, else the local database]",
)
INDEX = click.option(
    "--index",
    metavar="URL",
    envvar=INDEX_VARIABLES,
    default="http://127.0.0.1:8080/simple/",
    show_default="UV_DEFAULT_INDEX, PIP_INDEX_URL, or http://127.0.0.1:8080/simple/",
    help="URL of the index's Simple API.",
)
