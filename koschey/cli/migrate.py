"""Migrate the database to the current schema, and create the bucket.

Example: koschey migrate
"""

import asyncio

import click

from koschey.db.migrate import Step, migrate
from koschey.db.pool import connect_at_start
from koschey.errors import StartError, StoreUnavailable
from koschey.settings import Settings, load_settings
from koschey.storage.s3 import OpenBucket
from koschey.terminal.lines import say


@click.command("migrate", help=__doc__)
def command() -> None:
    """Apply what is missing, and print it."""
    steps = asyncio.run(_migrate(load_settings()))
    say(*([f"applied {step.number:04} {step.name}" for step in steps] or ["nothing to apply"]))


async def _migrate(settings: Settings) -> list[Step]:
    connection = await connect_at_start(str(settings.database_url))
    try:
        steps = await migrate(connection)
    finally:
        await connection.close()
    try:
        async with OpenBucket(settings) as bucket:
            await bucket.ensure()
    except StoreUnavailable as error:
        raise StartError(f"the bucket {settings.s3_bucket} cannot be used: {error}") from None
    return steps
