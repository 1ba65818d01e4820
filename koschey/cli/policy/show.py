"""Show the active rules, and what applies where there is no rule.

Example: koschey policy show --project six
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.cli.policy.base import rule_as_json
from koschey.governance.report import PolicyShown, show_policy
from koschey.governance.terms import scope_text
from koschey.policy.findings import KnownCheck
from koschey.policy.rules import Rule, RuleKind
from koschey.settings import Settings
from koschey.standards.names import parse_name
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal, emphasised


@click.command("show", help=__doc__)
@click.option("--project", metavar="NAME", help="Show only the rules that cover this project.")
@DATA
@JSON
def command(project: str | None, data: Path | None, *, as_json: bool) -> None:
    """Print the rules and the known checks."""
    run_on(data, lambda settings: _show(settings, project, as_json=as_json))


async def _show(settings: Settings, project: str | None, *, as_json: bool) -> None:
    name = parse_name(project) if project is not None else None
    async with open_database(settings) as pool, pool.acquire() as connection:
        shown = await show_policy(connection, name)
    if as_json:
        say_json(_shown_as_json(shown, settings.quarantine_days))
    else:
        _print(shown, settings.quarantine_days)


def _print(shown: PolicyShown, days: float) -> None:
    out = Terminal()
    for rule in _observing(shown):
        warning = f"OBSERVATION IS ON for {scope_text(rule)}: Koschey serves the files there that it would hold"
        out.print(emphasised(warning, "bold red"))
    out.print(_rules_table(shown.rules.rules) if shown.rules.rules else "No rule is active.")
    out.print(f"If no rule says otherwise, a new file is held for {days:g} days.", soft_wrap=True)
    if shown.checks:
        out.print(_checks_table(shown.checks))


def _observing(shown: PolicyShown) -> Sequence[Rule]:
    return [rule for rule in shown.rules.rules if rule.kind is RuleKind.OBSERVED]


def _rules_table(rules: Sequence[Rule]) -> Table:
    table = Table("kind", "scope", "subject", "value", "why", "by", "expires (UTC)", "ticket")
    for rule in rules:
        ends = f"{rule.expires_at:%Y-%m-%d %H:%M}" if rule.expires_at else "never"
        cells = (rule.kind, scope_text(rule), rule.subject, rule.value, rule.reason, rule.actor, ends, rule.ticket)
        table.add_row(*(cell or "" for cell in cells))
    return table


def _checks_table(checks: Sequence[KnownCheck]) -> Table:
    table = Table("check", "can find", "proposes", title="Known checks", title_justify="left")
    for check in checks:
        for code, action in sorted(check.proposed.items()):
            table.add_row(check.name, code, action)
    return table


def _shown_as_json(shown: PolicyShown, days: float) -> dict[str, object]:
    return {
        "observed": [scope_text(rule) for rule in _observing(shown)],
        "window_days": days,
        "rules": [rule_as_json(rule) for rule in shown.rules.rules],
        "checks": [{"name": check.name, "proposes": dict(sorted(check.proposed.items()))} for check in shown.checks],
    }
