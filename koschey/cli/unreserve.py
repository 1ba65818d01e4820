"""Lift a reservation, so that Koschey requests these names from upstreams again.

Example: koschey unreserve 'acme-*' --reason 'we sold the name'
"""

from pathlib import Path

import click

from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.governance.reservations import parse_pattern, unreserve
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json


@click.command("unreserve", help=__doc__)
@click.argument("pattern")
@REASON
@DATA
@JSON
def command(pattern: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    """Lift the reservation of exactly this pattern."""
    run_on(data, lambda settings: _unreserve(settings, pattern, reason, as_json=as_json))


async def _unreserve(settings: Settings, pattern: str, reason: str, *, as_json: bool) -> None:
    parsed = parse_pattern(pattern)
    async with open_database(settings) as pool, pool.acquire() as connection:
        serial = await unreserve(connection, operator(), parsed, reason)
    if as_json:
        say_json({"pattern": parsed, "serial": serial})
    else:
        say(f"unreserve {parsed}: {f'serial {serial}' if serial is not None else 'nothing to change'}")
