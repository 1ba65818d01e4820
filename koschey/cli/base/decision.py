"""The commands that decide about releases. All of them call the one function `decide`."""

from pathlib import Path
from typing import Any

import click
from packaging.utils import NormalizedName

from koschey.cli.base.confirmation import confirmed
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.model import Sha256
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.quarantine.decision import OF_ONE_RELEASE
from koschey.settings import Settings
from koschey.standards.names import parse_name, parse_scope, parse_specifier
from koschey.terminal.lines import say, say_json


def deciding_command(choice: Choice, scope: str, help_: str | None) -> click.Command:
    """Return the command of a choice that needs a scope and a reason, and nothing else."""

    @click.command(str(choice), help=help_)
    @click.argument("scope", metavar=scope)
    @REASON
    @DATA
    @JSON
    def command(scope: str, reason: str, data: Path | None, *, as_json: bool) -> None:
        run_decision(data, choice, scope, reason, as_json=as_json)

    return command


def run_decision(
    data: Path | None, choice: Choice, scope: str, reason: str, *, as_json: bool, yes: bool = False, **given: Any
) -> None:
    """Decide, and print the result; `given` are further fields of the `Decision`.

    Raises `UsageError` for a scope that the choice does not accept, and what `decide` raises.
    """

    async def carry_out(settings: Settings) -> None:
        project, version = _parse_scope(choice, scope)
        decision = Decision(choice, project, version, reason, **given)
        async with open_database(settings) as pool, pool.acquire() as connection:
            outcome = await confirmed(
                lambda consent: decide(connection, operator(), decision, consent), project, yes=yes
            )
        if as_json:
            decided = {"choice": choice, "scope": scope, "serial": outcome.serial, "files": outcome.filenames}
            say_json(decided | {"waits": outcome.waits})
        else:
            say(f"{choice} {scope}: {outcome}")

    run_on(data, carry_out)


def parse_digest(sha256: str | None) -> Sha256 | None:
    """Return in lower case a digest that the user gave."""
    return Sha256(sha256.lower()) if sha256 else None


def _parse_scope(choice: Choice, scope: str) -> tuple[NormalizedName, str | None]:
    if choice in OF_ONE_RELEASE:
        return parse_specifier(scope)
    if choice in (Choice.TRUST, Choice.UNTRUST):
        return parse_name(scope), None
    return parse_scope(scope)
