"""Commands about hosted projects, and about the rules for uploads."""

from pathlib import Path

import click

from koschey.cli.root import DATA, JSON, REASON, InheritingGroup, cli, run_on
from koschey.terminal import Terminal


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
        run_on(data, lambda settings: operation(settings, release, filename, reason, as_json=as_json))


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

    run_on(data, lambda settings: remove_scope(settings, scope, filename, reason, yes=yes, as_json=as_json))


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

    run_on(data, lambda settings: set_project_status(settings, name, status, reason, as_json=as_json))


@cli.group("upload-rules", cls=InheritingGroup, invoke_without_command=True)
@DATA
@JSON
@click.pass_context
def upload_rules(context: click.Context, data: Path | None, *, as_json: bool) -> None:
    """List the rules that uploads must keep, which of them are on, and why."""
    from koschey.commands.upload_rules import list_rules  # noqa: PLC0415

    if context.invoked_subcommand is None:
        run_on(data, lambda settings: list_rules(settings, as_json=as_json, out=Terminal()))


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

    run_on(data, lambda settings: set_rule(settings, name, reason, enabled=state == "on", as_json=as_json))
