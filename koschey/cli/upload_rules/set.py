"""Turn a rule for uploads on or off. A rule that is off only warns; earlier uploads stay as they are.

Example: koschey upload-rules set local-version on --reason 'we publish these elsewhere too'
"""

from pathlib import Path

import click

from koschey.cli.base.instance import open_database, operator, run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.hosting.upload_rules.switches import switch_rule
from koschey.settings import Settings
from koschey.terminal.lines import say, say_json


@click.command("set", help=__doc__)
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off"]))
@REASON
@DATA
@JSON
def command(name: str, state: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    """Switch the rule."""
    run_on(data, lambda settings: _set(settings, name, state, reason, as_json=as_json))


async def _set(settings: Settings, name: str, state: str, reason: str, *, as_json: bool) -> None:
    async with open_database(settings) as pool, pool.acquire() as connection:
        serial = await switch_rule(connection, operator(), name, reason, enabled=state == "on")
    if as_json:
        say_json({"rule": name, "state": state, "serial": serial})
    else:
        say(f"{name} is {state}")
