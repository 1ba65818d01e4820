"""The instance that a command works on: its settings, its database, and the account that acts in it."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from koschey.db.migrate import check_database
from koschey.db.pool import LOST, SLOW, Pool, open_pool
from koschey.embedded.options import default_data_folder, settings_file
from koschey.errors import StartError
from koschey.model import Actor
from koschey.settings import Settings, load_instance, load_settings


def run_on(data: Path | None, command: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Run a command against the instance in the folder `data`.

    Without a folder, the environment names the instance, or `KOSCHEY_DATA` does. Raises `StartError` if there is no
    such instance, or if PostgreSQL goes away while the command runs.
    """
    # The command line has precedence over the environment.
    settings = load_instance(settings_file(data)) if data else load_settings(file=settings_file(default_data_folder()))
    try:
        asyncio.run(command(settings))
    except SLOW:
        raise StartError("PostgreSQL did not finish in time; the same command would take as long again") from None
    except LOST as error:
        raise StartError(f"PostgreSQL cannot do this now: {error or type(error).__name__}; try again soon") from None


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Pool]:
    """Open a pool on a migrated database. Raises `StartError` if the database cannot be used."""
    await check_database(str(settings.database_url))
    pool = await open_pool(str(settings.database_url), size=2)
    try:
        yield pool
    finally:
        await pool.close()


def operator() -> Actor:
    """Return the actor under which the journal records the decisions of this command line."""
    try:
        return Actor(getpass.getuser(), "cli")
    except (KeyError, OSError):
        return Actor("operator", "cli")
