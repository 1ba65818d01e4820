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


def _yank(name: str, what: str, example: str) -> None:
    """Add one of the two commands that mark releases."""

    @cli.command(name, help=f"{what}\n\nExample: koschey {name} {example}")
    @click.argument("release", metavar="NAME==VERSION")
    @click.option("--file", "filename", help="Only this file of the release.")
    @REASON
    @DATA
    @JSON
    def command(release: str, filename: str | None, reason: str, data: Path | None, *, as_json: bool) -> None:
        from koschey.commands import publishing  # noqa: PLC0415

        operation = publishing.yank_release if name == "yank" else publishing.unyank_release
        _run(data, lambda settings: operation(settings, release, filename, reason, as_json=as_json))


_yank(
    "yank", "Let installers pass over a hosted release, unless it is pinned.", "'acme==1.0' --reason 'does not start'"
)
_yank("unyank", "Let installers choose a yanked release again.", "'acme==1.0' --reason 'it does'")


@cli.command()
@click.argument("scope", metavar="NAME[==VERSION]")
@click.option("--file", "filename", help="Only this file.")
@REASON
@click.option("--yes", is_flag=True, help="Do not ask for the name once more.")
@DATA
@JSON
def remove(scope: str, filename: str | None, reason: str, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Remove hosted files for ever; their names stay used.

    Example: koschey remove 'acme==1.0' --reason 'holds a key' --yes
    """
    from koschey.commands.publishing import remove_scope  # noqa: PLC0415

    _run(data, lambda settings: remove_scope(settings, scope, filename, reason, yes=yes, as_json=as_json))


@cli.command()
@click.argument("name")
@click.argument("status", type=click.Choice(["active", "archived", "deprecated", "quarantined"]))
@REASON
@DATA
@JSON
def status(name: str, status: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    """Set the status of a hosted project (PEP 792).

    Archived takes no uploads, quarantined takes none and serves no file, deprecated is a word to its users.

    Example: koschey status acme archived --reason 'use acme-core'
    """
    from koschey.commands.publishing import set_project_status  # noqa: PLC0415

    _run(data, lambda settings: set_project_status(settings, name, status, reason, as_json=as_json))


@cli.command()
@click.argument("pattern", required=False)
@click.option("--reason", help="Why; it is kept with the reservation.")
@DATA
@JSON
def reserve(pattern: str | None, reason: str | None, data: Path | None, *, as_json: bool) -> None:
    """Keep names for private packages: NAME, or 'NAME-*'. Without a pattern: list what is reserved.

    No upstream is asked for a reserved name, and what came from one under it is blocked.

    Example: koschey reserve 'acme-*' --reason 'our namespace'
    """
    from koschey.commands.reservations import list_reservations, reserve_pattern  # noqa: PLC0415

    if pattern is None:
        _run(data, lambda settings: list_reservations(settings, as_json=as_json, out=Console()))
        return
    if reason is None:
        raise click.UsageError("Missing option '--reason'.")
    _run(data, lambda settings: reserve_pattern(settings, pattern, reason, as_json=as_json))


@cli.command()
@click.argument("pattern")
@REASON
@DATA
@JSON
def unreserve(pattern: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    """Give reserved names free again: upstreams are asked for them."""
    from koschey.commands.reservations import unreserve_pattern  # noqa: PLC0415

    _run(data, lambda settings: unreserve_pattern(settings, pattern, reason, as_json=as_json))


@cli.command()
@click.argument("url")
@click.option("--project", "projects", multiple=True, metavar="NAME", help="Look at it.  [default: the first 10]")
@JSON
def conformance(url: str, projects: tuple[str, ...], *, as_json: bool) -> None:
    """Say which assertions of the standards an index keeps, by reading alone. URL is that of its Simple API.

    Exit code 1: some are not kept; 2: the index cannot be reached.

    Example: koschey conformance http://localhost:8080/simple/ --project six
    """
    from koschey.commands.conformance import report_conformance  # noqa: PLC0415

    if not asyncio.run(report_conformance(url, projects, as_json=as_json, out=Console())):
        sys.exit(1)


@cli.group("upload-rules", invoke_without_command=True)
@DATA
@JSON
@click.pass_context
def upload_rules(context: click.Context, data: Path | None, *, as_json: bool) -> None:
    """List the rules that uploads must keep, which of them are on, and why."""
    from koschey.commands.upload_rules import list_rules  # noqa: PLC0415

    if context.invoked_subcommand is None:
        _run(data, lambda settings: list_rules(settings, as_json=as_json, out=Console()))


@upload_rules.command("set")
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off"]))
@REASON
@DATA
@JSON
def set_upload_rule(name: str, state: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    """Turn a rule on or off, for uploads from now on; one that is off only warns.

    Example: koschey upload-rules set local-version on --reason 'we publish these elsewhere too'
    """
    from koschey.commands.upload_rules import set_rule  # noqa: PLC0415

    _run(data, lambda settings: set_rule(settings, name, reason, enabled=state == "on", as_json=as_json))


@cli.command()
@click.argument("scope", metavar="NAME[==VERSION]")
@DATA
@JSON
def attest(scope: str, data: Path | None, *, as_json: bool) -> None:
    """Fetch and verify the provenance (PEP 740) of stored files anew; the worker does it.

    Example: koschey attest 'six==1.17.0'
    """
    from koschey.commands.attest import attest_scope  # noqa: PLC0415

    _run(data, lambda settings: attest_scope(settings, scope, as_json=as_json))


@cli.command()
@click.argument("site_packages", type=click.Path(path_type=Path))
@click.option(
    "--index",
    envvar=["UV_DEFAULT_INDEX", "PIP_INDEX_URL"],
    default="http://127.0.0.1:8080/simple/",
    show_default="UV_DEFAULT_INDEX, PIP_INDEX_URL, or http://127.0.0.1:8080/simple/",
    help="Simple API of the Koschey that it was installed from.",
)
@click.option("--write", is_flag=True, help="Write provenance_url.json (PEP 710) beside what was installed.")
@click.option("--sbom", metavar="FILE", help="Write a CycloneDX 1.6 bill of materials; - is standard output.")
@JSON
def provenance(site_packages: Path, *, index: str, write: bool, sbom: str | None, as_json: bool) -> None:
    """Say from where each distribution in a SITE_PACKAGES folder came. Exit code 1: it is unknown for some.

    Example: koschey provenance .venv/lib/python3.13/site-packages --sbom sbom.json
    """
    from koschey.commands.provenance import Wanted, show_provenance  # noqa: PLC0415

    asyncio.run(show_provenance(Wanted(site_packages, index, write, sbom, as_json), Console()))


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
