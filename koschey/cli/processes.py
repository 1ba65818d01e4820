"""Commands that run: everything on this machine, or one part of it."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from koschey.cli.root import DATA, JSON, cli
from koschey.settings import load_settings
from koschey.terminal import Terminal, say

WORKER_GRACE = 20
"""Seconds that a worker gets to end by itself."""


@cli.command()
@DATA
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the index listens on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Its port; 0 is any.")
@click.option("--upstream", help="Simple API of the index to mirror.  [default: PyPI]")
@click.option("--allow-private-upstream", is_flag=True, help="The upstream may be plain http and inside your network.")
@click.option("--quarantine-days", type=click.FloatRange(0, 3650), help="Days to hold new releases.  [default: 7]")
@click.option("--web-processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Web processes.")
@click.option("--postgres-port", type=click.IntRange(1, 65535), help="Port of PostgreSQL.  [default: a free one]")
@click.option("--s3-port", type=click.IntRange(1, 65535), help="Port of the S3 server.  [default: a free one]")
@click.option("--temporal-port", type=click.IntRange(1, 65535), help="Port of Temporal.  [default: a free one]")
@click.option("--temporal-ui-port", type=click.IntRange(1, 65535), help="Port of its UI.  [default: a free one]")
@JSON
def up(data: Path | None, *, as_json: bool, **options: Any) -> None:
    """Start everything on this machine: index, worker, PostgreSQL, S3, Temporal and its UI."""
    from koschey.embedded import UpOptions, default_data_folder, run_up  # noqa: PLC0415 - needs an extra

    chosen = UpOptions(data=data or default_data_folder(), json=as_json, **options)
    sys.exit(run_up(chosen, out=Terminal()))


@cli.command()
def web() -> None:
    """Serve the index, with the KOSCHEY_* settings of the environment."""
    from koschey.serve import serve  # noqa: PLC0415 - each command loads only its own part

    serve(load_settings())


@cli.command()
@click.option("--ready-fd", type=int, hidden=True, help="Descriptor to which a line is written once work is taken.")
def worker(ready_fd: int | None) -> None:
    """Run workflows and relay the outbox, with the KOSCHEY_* settings of the environment."""
    from koschey.logs import configure_logs  # noqa: PLC0415
    from koschey.worker.process import announce, run_worker  # noqa: PLC0415

    settings = load_settings()
    configure_logs(settings.log_level)

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def end() -> None:
            stop.set()
            # The client waits for Temporal, which may be gone; every step can be killed and is run again.
            loop.call_later(WORKER_GRACE, os._exit, 0)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        await run_worker(settings, stop=stop, ready=lambda: announce(ready_fd))

    asyncio.run(run())


@cli.command()
def migrate() -> None:
    """Bring the database to the present schema and make the bucket exist."""
    from koschey.commands.database import migrate_all  # noqa: PLC0415

    steps = asyncio.run(migrate_all(load_settings()))
    say(*([f"applied {step.number:04} {step.name}" for step in steps] or ["nothing to apply"]))
