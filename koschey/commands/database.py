"""What all commands share that work on the stores directly: the connection, the migration, and in whose name."""

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from koschey.db.migrate import Step, check_database, migrate
from koschey.db.pool import Pool, connect_at_start, open_pool
from koschey.errors import StartError, StoreUnavailable
from koschey.model import Actor
from koschey.settings import Settings
from koschey.storage.s3 import OpenBucket


async def migrate_all(settings: Settings) -> list[Step]:
    """Migrate the database and create the bucket. Raises `StartError` where either cannot be reached."""
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


def operator() -> Actor:
    """Return the actor under which what this command line decides stands in the journal."""
    try:
        return Actor(getpass.getuser(), "cli")
    except (KeyError, OSError):
        return Actor("operator", "cli")


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Pool]:
    """Open a pool on a database that is migrated."""
    await check_database(str(settings.database_url))
    pool = await open_pool(str(settings.database_url), size=2)
    try:
        yield pool
    finally:
        await pool.close()
