"""Set the status of a hosted project (PEP 792).

An archived project accepts no uploads. A quarantined project accepts none and serves no file. A deprecated project
warns its users and stays as it is.

Example: koschey status acme archived --reason 'use acme-core'
"""

from pathlib import Path

import click

from koschey.cli.base.hosted import change_hosted
from koschey.cli.base.instance import run_on
from koschey.cli.base.options import DATA, JSON, REASON
from koschey.db.pool import Connection
from koschey.hosting.changes import HostedChange, HostedOutcome, Scope
from koschey.hosting.projects import set_status
from koschey.model import ProjectStatus
from koschey.settings import Settings
from koschey.standards.names import parse_name


@click.command("status", help=__doc__)
@click.argument("name")
@click.argument("status", type=click.Choice(["active", "archived", "deprecated", "quarantined"]))
@REASON
@DATA
@JSON
def command(name: str, status: str, reason: str, data: Path | None, *, as_json: bool) -> None:
    """Set the status."""

    async def operation(connection: Connection, change: HostedChange) -> HostedOutcome:
        return await set_status(connection, ProjectStatus(status), change)

    async def carry_out(settings: Settings) -> None:
        scope = Scope(parse_name(name))
        await change_hosted(settings, f"status {status}", operation, scope, reason, as_json=as_json)

    run_on(data, carry_out)
