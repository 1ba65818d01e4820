"""Remove hosted files permanently. Nobody can upload a file under a removed name again.

The command asks for the name of the project.

Example: koschey remove 'acme==1.0' --reason 'holds a key' --yes
"""

from pathlib import Path

import click

from koschey.cli.base.hosted import change_hosted
from koschey.cli.base.instance import run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.errors import UsageError
from koschey.hosting.changes import Scope
from koschey.hosting.projects import remove
from koschey.settings import Settings
from koschey.standards.names import parse_scope
from koschey.terminal.lines import say


@click.command("remove", help=__doc__)
@click.argument("scope", metavar="NAME[==VERSION]")
@click.option("--file", "filename", help="Remove only this file.")
@REASON
@click.option("--yes", is_flag=True, help="Do not ask for the name.")
@DATA
@JSON
def command(scope: str, filename: str | None, reason: str, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Remove what the scope names."""

    async def carry_out(settings: Settings) -> None:
        parsed = Scope(*parse_scope(scope), filename)
        if not yes:
            _confirm(parsed)
        await change_hosted(settings, "remove", remove, parsed, reason, as_json=as_json)

    run_on(data, carry_out)


def _confirm(scope: Scope) -> None:
    """Ask for the name. Raises `UsageError` where another one is typed."""
    say(f"This removes {scope} permanently; no file can be uploaded under a removed name again.", err=True)
    if click.prompt(f"Type {scope.project} to remove it", err=True).strip() != scope.project:
        raise UsageError("that is not the project's name; nothing was removed")
