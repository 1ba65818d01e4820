"""Start everything on this machine: index, worker, PostgreSQL, S3, Temporal and its UI.

It keeps all data in one folder, and needs the extra `koschey[embedded]`.

Example: koschey up --port 8080
"""

import sys
from pathlib import Path
from typing import Any

import click

from koschey.cli.base.options import DATA, JSON
from koschey.embedded.options import UpOptions, default_data_folder
from koschey.embedded.up import run_up
from koschey.terminal.tables import Terminal


@click.command("up", help=__doc__)
@DATA
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the index listens on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Its port; 0 is any.")
@click.option("--upstream", help="Simple API of the index to mirror.  [default: PyPI]")
@click.option("--allow-private-upstream", is_flag=True, help="Allow an upstream by plain http or inside your network.")
@click.option("--quarantine-days", type=click.FloatRange(0, 3650), help="Days to hold new releases.  [default: 7]")
@click.option("--web-processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Web processes.")
@click.option("--postgres-port", type=click.IntRange(1, 65535), help="Port of PostgreSQL.  [default: a free one]")
@click.option("--s3-port", type=click.IntRange(1, 65535), help="Port of the S3 server.  [default: a free one]")
@click.option("--temporal-port", type=click.IntRange(1, 65535), help="Port of Temporal.  [default: a free one]")
@click.option("--temporal-ui-port", type=click.IntRange(1, 65535), help="Port of its UI.  [default: a free one]")
@JSON
def command(data: Path | None, *, as_json: bool, **options: Any) -> None:
    """Run until a signal ends it."""
    chosen = UpOptions(data=data or default_data_folder(), json=as_json, **options)
    sys.exit(run_up(chosen, out=Terminal()))
