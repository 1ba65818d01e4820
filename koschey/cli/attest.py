"""Fetch and verify the provenance (PEP 740) of stored files again. The worker does it.

Example: koschey attest 'six==1.17.0'
"""

from pathlib import Path

import click

from koschey.cli.base.instance import open_database, run_on
from koschey.cli.base.options import DATA, JSON
from koschey.db.attestations import select_stored_versions
from koschey.db.outbox import insert_message
from koschey.errors import NotKnown
from koschey.outbox import ProvenanceWanted
from koschey.settings import Settings
from koschey.standards.names import parse_scope
from koschey.terminal.lines import say, say_json


@click.command("attest", help=__doc__)
@click.argument("scope", metavar="NAME[==VERSION]")
@DATA
@JSON
def command(scope: str, data: Path | None, *, as_json: bool) -> None:
    """Leave the worker a message for each release."""
    run_on(data, lambda settings: _attest(settings, scope, as_json=as_json))


async def _attest(settings: Settings, scope: str, *, as_json: bool) -> None:
    project, version = parse_scope(scope)
    async with open_database(settings) as pool, pool.acquire() as connection, connection.transaction():
        versions = await select_stored_versions(connection, project, version)
        if not versions:
            raise NotKnown(f"no file of {scope} is stored here; there is nothing to verify yet")
        for found in versions:
            await insert_message(connection, ProvenanceWanted(project, found, again=True))
    if as_json:
        say_json([{"project": project, "version": found} for found in versions])
    else:
        say(*(f"{project} {found}: the worker will fetch and verify its provenance" for found in versions))
