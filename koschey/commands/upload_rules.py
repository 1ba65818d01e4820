"""The rules for uploads: which there are, which are on, and switching one."""

from typing import Any

from rich.console import Console
from rich.table import Table

from koschey.commands.database import open_database, operator
from koschey.db.upload_switches import Switch, select_switches
from koschey.hosting.upload_rules.rule import Rule
from koschey.hosting.upload_rules.switches import RULES, switch_rule
from koschey.settings import Settings
from koschey.standards.simple_json import format_time
from koschey.terminal import say, say_json

BESIDE = "Beside these the form, its digests and the archive must be whole; nothing switches that off."


async def list_rules(settings: Settings, *, as_json: bool, out: Console) -> None:
    """Print a row for each rule."""
    async with open_database(settings) as pool:
        switches = await select_switches(pool)
    if as_json:
        say_json([_as_json(rule, switches) for rule in RULES])
    else:
        out.print(_table(switches))
        out.print(BESIDE)


async def set_rule(settings: Settings, name: str, reason: str, *, enabled: bool, as_json: bool) -> None:
    """Turn a rule on or off. Raises `UsageError` where it has no switch."""
    async with open_database(settings) as pool, pool.acquire() as connection:
        serial = await switch_rule(connection, operator(), name, reason, enabled=enabled)
    state = "on" if enabled else "off"
    if as_json:
        say_json({"rule": name, "state": state, "serial": serial})
    else:
        say(f"{name} is {state}")


def _table(switches: dict[str, Switch]) -> Table:
    table = Table("rule", "what it says", "state", "why")
    table.columns[0].no_wrap = True
    for rule in RULES:
        facts = _as_json(rule, switches)
        table.add_row(rule.name, rule.says, str(facts["state"]), str(facts["reason"] or ""))
    return table


def _as_json(rule: Rule[Any], switches: dict[str, Switch]) -> dict[str, object]:
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
