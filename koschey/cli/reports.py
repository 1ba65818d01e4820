"""Commands that report what decisions have led to: who took what, what ends, what waits, what was raised."""

from pathlib import Path

import click

from koschey.cli.root import DATA, JSON, cli, run_on
from koschey.terminal import Terminal


@cli.command()
@click.argument("scope", metavar="NAME[==VERSION]")
@DATA
@JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
def downloads(scope: str, data: Path | None, *, as_json: bool, as_csv: bool) -> None:
    """Say who took files of a release or of a project.

    Example: koschey downloads 'six==1.17.0' --csv
    """
    from koschey.commands.downloads import list_downloads  # noqa: PLC0415

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    form = "json" if as_json else "csv" if as_csv else "table"
    run_on(data, lambda settings: list_downloads(settings, scope, form=form, out=Terminal()))


@cli.command()
@click.option("--within", type=click.FloatRange(0, 36500), metavar="DAYS", help="Only those that end in so many days.")
@DATA
@JSON
def exceptions(within: float | None, data: Path | None, *, as_json: bool) -> None:
    """List exceptions, those that end first at the top, and who asked for them."""
    from koschey.commands.pending import list_exceptions  # noqa: PLC0415

    run_on(data, lambda settings: list_exceptions(settings, within, as_json=as_json, out=Terminal()))


@cli.command()
@DATA
@JSON
def proposals(data: Path | None, *, as_json: bool) -> None:
    """List decisions that wait for a second person: who makes the same decision puts it in force."""
    from koschey.commands.pending import list_proposals  # noqa: PLC0415

    run_on(data, lambda settings: list_proposals(settings, as_json=as_json, out=Terminal()))


@cli.command()
@DATA
@JSON
def alerts(data: Path | None, *, as_json: bool) -> None:
    """List the newest alerts, and when the webhook took each."""
    from koschey.commands.pending import list_alerts  # noqa: PLC0415

    run_on(data, lambda settings: list_alerts(settings, as_json=as_json, out=Terminal()))
