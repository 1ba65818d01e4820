"""Migrate the database to the current schema, and create the bucket.

The role that migrates owns the tables, and can do anything to them. With `--grant-to`, web processes and workers run
under another role, which can add entries to the journal but neither change nor remove any.

Example: koschey migrate --grant-to koschey_app
"""

import asyncio

import click

from koschey.db.migrate import Step, migrate
from koschey.db.pool import connect_at_start
from koschey.db.role_rights import grant_rights
from koschey.errors import StartError, StoreUnavailable
from koschey.governance.accounts import has_admin
from koschey.settings import Settings, load_settings
from koschey.storage.s3 import OpenBucket
from koschey.terminal.lines import say

NO_ADMIN = "No account may administer this index yet. Make the first: koschey account add NAME --role admin"


@click.command("migrate", help=__doc__)
@click.option("--grant-to", "role", metavar="ROLE", help="Grant this role what web processes and workers need.")
def command(role: str | None) -> None:
    """Apply what is missing, and print it."""
    steps, has_one = asyncio.run(_migrate(load_settings(), role))
    say(*([f"applied {step.number:04} {step.name}" for step in steps] or ["nothing to apply"]))
    if role:
        say(f"granted {role} what web processes and workers need")
    if not has_one:
        say(NO_ADMIN)


async def _migrate(settings: Settings, role: str | None) -> tuple[list[Step], bool]:
    """Return the steps that were applied, and whether there is an admin."""
    connection = await connect_at_start(str(settings.database_url))
    try:
        steps = await migrate(connection)
        if role:
            await grant_rights(connection, role)
        has_one = await has_admin(connection)
    finally:
        await connection.close()
    try:
        async with OpenBucket(settings) as bucket:
            await bucket.ensure()
    except StoreUnavailable as error:
        raise StartError(f"the bucket {settings.s3_bucket} cannot be used: {error}") from None
    return steps, has_one
