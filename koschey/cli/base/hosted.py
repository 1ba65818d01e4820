"""The commands that change hosted projects."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.db.pool import Connection
from koschey.hosting.changes import HostedChange, HostedOutcome, Scope
from koschey.settings import Settings
from koschey.standards.names import parse_specifier
from koschey.terminal.lines import say, say_json

type Operation = Callable[[Connection, HostedChange], Awaitable[HostedOutcome]]


def yanking_command(word: str, operation: Operation, help_: str | None) -> click.Command:
    """Return the command that yanks or restores a release, or one file of it, by this operation."""

    @click.command(word, help=help_)
    @click.argument("release", metavar="NAME==VERSION")
    @click.option("--file", "filename", help="Change only this file of the release.")
    @REASON
    @DATA
    @JSON
    def command(release: str, filename: str | None, reason: str, data: Path | None, *, as_json: bool) -> None:
        async def carry_out(settings: Settings) -> None:
            scope = Scope(*parse_specifier(release), filename)
            await change_hosted(settings, word, operation, scope, reason, as_json=as_json)

        run_on(data, carry_out)

    return command


async def change_hosted(
    settings: Settings, word: str, operation: Operation, scope: Scope, reason: str, *, as_json: bool
) -> None:
    """Carry out an operation, and print what it changed. Raises what the operation raises."""
    async with open_database(settings) as pool, pool.acquire() as connection:
        outcome = await operation(connection, HostedChange(operator(), scope, reason))
    if as_json:
        answer = {"action": word, "scope": str(scope), "serial": outcome.serial, "changed": outcome.changed}
        say_json({**answer, "files": outcome.filenames})
    else:
        say(f"{word} {scope}: {outcome}")
