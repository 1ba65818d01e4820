"""Show the active exceptions, and who requested them. The first to expire comes first.

Example: koschey exceptions --within 14
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.base.rows import minute
from koschey.db.projects import select_now
from koschey.db.rules import select_exceptions
from koschey.policy.rules import Rule
from koschey.settings import Settings
from koschey.standards.simple_json import format_time
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal


@click.command("exceptions", help=__doc__)
@click.option(
    "--within", type=click.FloatRange(0, 36500), metavar="DAYS", help="Show only those that expire within so many days."
)
@DATA
@JSON
def command(within: float | None, data: Path | None, *, as_json: bool) -> None:
    """Print a row for each exception."""
    run_on(data, lambda settings: _show(settings, within, as_json=as_json))


async def _show(settings: Settings, within: float | None, *, as_json: bool) -> None:
    async with open_database(settings) as pool:
        until = await select_now(pool) + timedelta(days=within) if within is not None else None
        exceptions = await select_exceptions(pool, until)
    if as_json:
        say_json([_as_json(rule) for rule in exceptions])
    elif exceptions:
        Terminal().print(_table(exceptions))
    else:
        none = "No exception is active." if within is None else f"No exception expires within {within:g} days."
        Terminal().print(none)


def _table(exceptions: Sequence[Rule]) -> Table:
    table = Table("until (UTC)", "project", "version", "file", "by", "ticket", "why")
    for rule in exceptions:
        people = f"{rule.actor}, {rule.seconded_by}" if rule.seconded_by else rule.actor
        said = (people, rule.ticket or "", rule.reason)
        table.add_row(minute(rule.expires_at), rule.scope, rule.version or "", rule.subject, *said)
    return table


def _as_json(rule: Rule) -> dict[str, str | None]:
    return {
        "project": rule.scope,
        "version": rule.version,
        "filename": rule.subject,
        "sha256": rule.value,
        "expires_at": format_time(rule.expires_at) if rule.expires_at else None,
        "actor": rule.actor,
        "seconded_by": rule.seconded_by,
        "ticket": rule.ticket,
        "reason": rule.reason,
    }
