"""The commands. Exit code 0: done; 1: refused or failed; 2: cannot start, or the command line is wrong."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from koschey import __version__
from koschey.errors import KoscheyError, StartError
from koschey.settings import Settings, load_settings

DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=True),
    help="Folder in which `koschey up` keeps everything.  [default: KOSCHEY_DATA, or a folder of your account]",
)
REASON = click.option("--reason", required=True, help="Why; it is kept with the decision.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


WORKER_GRACE = 20
"""Seconds that a worker gets to end by itself."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="koschey")
def cli() -> None:
    """Koschey: a Python package index that mirrors, hosts, and holds new public releases in quarantine."""


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
    sys.exit(run_up(chosen, out=Console()))


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
    from koschey.worker import announce, run_worker  # noqa: PLC0415

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
    click.echo("\n".join(f"applied {step.number:04} {step.name}" for step in steps) or "nothing to apply")


@cli.command()
@DATA
@JSON
def quarantine(data: Path | None, *, as_json: bool) -> None:
    """List what is held, until when and why."""
    from koschey.commands.quarantine import list_quarantine  # noqa: PLC0415

    _run(data, lambda settings: list_quarantine(settings, as_json=as_json, out=Console()))


def _decision(name: str, what: str, scope: str, example: str) -> None:
    """Add one of the commands that decide; all end in the one function."""

    @cli.command(name, help=f"{what}\n\nExample: koschey {name} {example}")
    @click.argument("scope", metavar=scope)
    @REASON
    @DATA
    @JSON
    def command(scope: str, reason: str, data: Path | None, *, as_json: bool) -> None:
        from koschey.commands.quarantine import decide_scope  # noqa: PLC0415

        _run(data, lambda settings: decide_scope(settings, name, scope, reason, as_json=as_json))


_decision("approve", "Release what is held of one release, now.", "NAME==VERSION", "'six==1.17.0' --reason reviewed")
_decision("block", "Stop serving a release or a project.", "NAME[==VERSION]", "'six==1.17.0' --reason malware")
_decision("unblock", "Lift a block; the files are held again.", "NAME[==VERSION]", "six --reason 'false alarm'")
_decision("trust", "Let new releases of a project in at once.", "NAME", "six --reason 'our own upstream work'")
_decision("untrust", "Hold new releases of a project again.", "NAME", "six --reason 'new maintainer'")


def _run(data: Path | None, command: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Run a command against the settings of the environment, or of the instance that `koschey up` runs."""
    from koschey.embedded import default_data_folder, settings_file  # noqa: PLC0415

    settings = load_settings(file=settings_file(data or default_data_folder()))
    asyncio.run(command(settings))


def main() -> NoReturn:
    """Run the command line; every expected error is one line on standard error."""
    try:
        cli(standalone_mode=True)
    except StartError as error:
        _fail(error, 2)
    except KoscheyError as error:
        _fail(error, 1)
    sys.exit(0)


def _fail(error: KoscheyError, code: int) -> NoReturn:
    click.echo(f"koschey: {error}", err=True)
    sys.exit(code)
