"""Show the rules for uploads, which of them are on, and why.

Example: koschey upload-rules
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.lazy_group import InheritingGroup
from koschey.cli.base.options import DATA, JSON
from koschey.db.upload_switches import Switch, select_switches
from koschey.hosting.upload_rules.rule import UploadRule
from koschey.hosting.upload_rules.switches import RULES
from koschey.settings import Settings
from koschey.standards.simple_json import format_time
from koschey.terminal.lines import say_json
from koschey.terminal.tables import Terminal

BESIDE = "Every upload must also have a complete form, correct digests and an intact archive; no switch turns this off."


@click.group("upload-rules", cls=InheritingGroup, package=__name__, invoke_without_command=True, help=__doc__)
@DATA
@JSON
@click.pass_context
def command(context: click.Context, data: Path | None, *, as_json: bool) -> None:
    """Print a row for each rule."""
    if context.invoked_subcommand is None:
        run_on(data, lambda settings: _show(settings, as_json=as_json))


async def _show(settings: Settings, *, as_json: bool) -> None:
    async with open_database(settings) as pool:
        switches = await select_switches(pool)
    if as_json:
        say_json([_as_json(rule, switches) for rule in RULES])
    else:
        out = Terminal()
        out.print(_table(switches))
        out.print(BESIDE)


def _table(switches: Mapping[str, Switch]) -> Table:
    table = Table("rule", "what it says", "state", "why")
    table.columns[0].no_wrap = True
    for rule in RULES:
        facts = _as_json(rule, switches)
        table.add_row(rule.name, rule.says, str(facts["state"]), str(facts["reason"] or ""))
    return table


def _as_json(rule: UploadRule[Any], switches: Mapping[str, Switch]) -> dict[str, object]:
    switch = switches.get(rule.name)
    on = rule.is_on({rule.name: switch.enabled} if switch else {})
    return {
        "rule": rule.name,
        "says": rule.says,
        "switchable": rule.default is not None,
        "state": "always" if rule.default is None else "on" if on else "off",
        "default": rule.default,
        "reason": switch.reason if switch else rule.why or None,
        "actor": switch.actor if switch else None,
        "at": format_time(switch.at) if switch else None,
    }
