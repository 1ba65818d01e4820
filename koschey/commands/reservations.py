"""Names that are kept for private packages: list, reserve, give free."""

from rich.console import Console
from rich.table import Table

from koschey.commands.confirming import confirmed
from koschey.commands.database import open_database, operator
from koschey.db.rules import Reservation, select_reservations
from koschey.governance.effects import select_late_names
from koschey.governance.reservations import parse_pattern, reserve, unreserve
from koschey.settings import Settings
from koschey.standards.simple_json import format_time
from koschey.terminal import say, say_json


async def reserve_pattern(settings: Settings, pattern: str, reason: str, *, yes: bool, as_json: bool) -> None:
    """Reserve, and say which names it comes too late for. Raises `UsageError` where the pattern is none."""
    parsed = parse_pattern(pattern)
    async with open_database(settings) as pool, pool.acquire() as connection:
        serial = await confirmed(
            lambda consent: reserve(connection, operator(), parsed, reason, consent), parsed, yes=yes
        )
        late = await select_late_names(connection, parsed)
    if as_json:
        say_json({"pattern": parsed, "serial": serial, "mirrored": [name._asdict() for name in late.names]})
        return
    say(f"reserve {parsed}: serial {serial}")
    say(*(f"koschey: {sentence}" for sentence in late.sentences), err=True)


async def unreserve_pattern(settings: Settings, pattern: str, reason: str, *, as_json: bool) -> None:
    """Give free. Raises `UsageError` where the pattern is none."""
    parsed = parse_pattern(pattern)
    async with open_database(settings) as pool, pool.acquire() as connection:
        serial = await unreserve(connection, operator(), parsed, reason)
    done = f"serial {serial}" if serial is not None else "nothing to change"
    if as_json:
        say_json({"pattern": parsed, "serial": serial})
    else:
        say(f"unreserve {parsed}: {done}")


async def list_reservations(settings: Settings, *, as_json: bool, out: Console) -> None:
    """Print a row for each reservation."""
    async with open_database(settings) as pool:
        reservations = await select_reservations(pool)
    if as_json:
        say_json([_as_json(reservation) for reservation in reservations])
    elif reservations:
        out.print(_table(reservations))
    else:
        out.print("No name is reserved.")


def _table(reservations: list[Reservation]) -> Table:
    table = Table("pattern", "why", "by", "since (UTC)")
    for reservation in reservations:
        table.add_row(reservation.pattern, reservation.reason, reservation.actor, f"{reservation.at:%Y-%m-%d %H:%M}")
    return table


def _as_json(reservation: Reservation) -> dict[str, str]:
    return {**reservation._asdict(), "at": format_time(reservation.at)}
