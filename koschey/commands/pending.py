"""What people still have to look at: what waits for a second person, exceptions that end, alerts."""

from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table

from koschey.commands.database import open_database
from koschey.db.alerts import Alert, select_alerts
from koschey.db.projects import select_now
from koschey.db.proposals import Proposal, select_open_proposals
from koschey.db.rules import select_exceptions
from koschey.policy.rules import Rule
from koschey.settings import Settings
from koschey.standards.simple_json import format_time
from koschey.terminal import say_json


async def list_proposals(settings: Settings, *, as_json: bool, out: Console) -> None:
    """Print a row for each decision that waits for a second person."""
    async with open_database(settings) as pool:
        proposals = await select_open_proposals(pool)
    if as_json:
        say_json([_timed(proposal._asdict()) for proposal in proposals])
    elif proposals:
        out.print(_table_of_proposals(proposals))
    else:
        out.print("Nothing waits for a second person.")


async def list_exceptions(settings: Settings, within: float | None, *, as_json: bool, out: Console) -> None:
    """Print a row for each exception, those that end first at the top; with `within` those that end in so many days."""
    async with open_database(settings) as pool:
        until = await select_now(pool) + timedelta(days=within) if within is not None else None
        exceptions = await select_exceptions(pool, until)
    if as_json:
        say_json([_exception(rule) for rule in exceptions])
    elif exceptions:
        out.print(_table_of_exceptions(exceptions))
    else:
        out.print("No exception is in force." if within is None else f"No exception ends within {within:g} days.")


async def list_alerts(settings: Settings, *, as_json: bool, out: Console) -> None:
    """Print the newest alerts."""
    async with open_database(settings) as pool:
        alerts = await select_alerts(pool)
    if as_json:
        say_json([_timed(alert._asdict()) for alert in alerts])
    elif alerts:
        out.print(_table_of_alerts(alerts))
    else:
        out.print("There is no alert.")


def _table_of_proposals(proposals: list[Proposal]) -> Table:
    table = Table("what", "project", "version", "files", "by", "since (UTC)", "why", "ticket")
    for proposal in proposals:
        table.add_row(
            proposal.action,
            proposal.project,
            proposal.version or "all",
            str(len(proposal.digests)),
            proposal.actor,
            _minute(proposal.at),
            proposal.reason,
            proposal.ticket or "",
        )
    return table


def _table_of_exceptions(exceptions: list[Rule]) -> Table:
    table = Table("until (UTC)", "project", "version", "file", "by", "ticket", "why")
    for rule in exceptions:
        people = f"{rule.actor}, {rule.seconded_by}" if rule.seconded_by else rule.actor
        told = (people, rule.ticket or "", rule.reason)
        table.add_row(_minute(rule.expires_at), rule.scope, rule.version or "", rule.subject, *told)
    return table


def _table_of_alerts(alerts: list[Alert]) -> Table:
    table = Table("at (UTC)", "what", "project", "version", "file", "serial", "sent (UTC)")
    for alert in alerts:
        where = (alert.project or "", alert.version or "", alert.filename or "")
        table.add_row(_minute(alert.at), alert.kind, *where, str(alert.serial), _minute(alert.sent_at))
    return table


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _exception(rule: Rule) -> dict[str, str | None]:
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


def _timed(values: dict[str, object]) -> dict[str, object]:
    return {name: format_time(value) if isinstance(value, datetime) else value for name, value in values.items()}
