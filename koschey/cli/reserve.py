"""Reserve names for private packages, or show the reserved names.

PATTERN is a NAME or 'NAME-*'; without it the command shows what is reserved. Koschey does not request a reserved name
from an upstream, and blocks the files that came from an upstream under it. If these are in use, the command shows how
much of them, and asks for the pattern. A name that is already mirrored accepts uploads only after `koschey claim`.

Example: koschey reserve 'acme-*' --reason 'our namespace'
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.confirmation import confirmed
from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, YES
from koschey.cli.base.rows import minute, timed
from koschey.db.rules import Reservation, select_reservations
from koschey.governance.effects import select_mirrored_by_pattern
from koschey.governance.reservations import parse_pattern, reserve
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json
from koschey.terminal.tables import Terminal


@click.command("reserve", help=__doc__)
@click.argument("pattern", required=False)
@click.option("--reason", help="The reason; it is recorded with the reservation.")
@YES
@DATA
@JSON
def command(pattern: str | None, reason: str | None, data: Path | None, *, yes: bool, as_json: bool) -> None:
    """Reserve the pattern, or list what is reserved."""
    if pattern is None:
        run_on(data, lambda settings: _show(settings, as_json=as_json))
        return
    if reason is None:
        raise click.UsageError("Missing option '--reason'.")
    run_on(data, lambda settings: _reserve(settings, pattern, reason, yes=yes, as_json=as_json))


async def _reserve(settings: Settings, pattern: str, reason: str, *, yes: bool, as_json: bool) -> None:
    parsed = parse_pattern(pattern)
    async with open_database(settings) as pool, pool.acquire() as connection:
        serial = await confirmed(
            lambda consent: reserve(connection, operator(), parsed, reason, consent), parsed, yes=yes
        )
        mirrored = await select_mirrored_by_pattern(connection, parsed)
    if as_json:
        say_json({"pattern": parsed, "serial": serial, "mirrored": [name._asdict() for name in mirrored.names]})
        return
    say(f"reserve {parsed}: serial {serial}")
    say(*(f"koschey: {sentence}" for sentence in mirrored.sentences), err=True)


async def _show(settings: Settings, *, as_json: bool) -> None:
    async with open_database(settings) as pool:
        reservations = await select_reservations(pool)
    if as_json:
        say_json([timed(reservation._asdict()) for reservation in reservations])
    elif reservations:
        Terminal().print(_table(reservations))
    else:
        Terminal().print("No name is reserved.")


def _table(reservations: Sequence[Reservation]) -> Table:
    table = Table("pattern", "why", "by", "since (UTC)")
    for reservation in reservations:
        table.add_row(reservation.pattern, reservation.reason, reservation.actor, minute(reservation.at))
    return table
