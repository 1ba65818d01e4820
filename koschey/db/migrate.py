"""Brings a database to the present schema: plain numbered SQL, forward only, one transaction each.

Each step is compatible with the code that is still running when it is applied.
"""

import asyncio
import re
from importlib import resources
from typing import NamedTuple

from koschey.db.pool import Connection, connect_at_start
from koschey.errors import StartError

LOCK = 0x6B6F7363
"""Key of the advisory lock under which steps are applied."""

TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
UNLOCK = "SELECT pg_advisory_unlock($1)"
CREATE_STEPS = """
    CREATE TABLE IF NOT EXISTS migration (
        step       integer PRIMARY KEY,
        name       text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""
SELECT_STEPS = "SELECT step FROM migration ORDER BY step"
INSERT_STEP = "INSERT INTO migration (step, name) VALUES ($1, $2)"


class Step(NamedTuple):
    """One migration file, `0001_name.sql`."""

    number: int
    name: str
    sql: str


def read_steps() -> list[Step]:
    """Return all steps that this version of the code knows, in order."""
    files = (resources.files("koschey.db") / "migrations").iterdir()
    found = [(re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name), file) for file in files]
    return sorted(Step(int(match[1]), match[2], file.read_text()) for match, file in found if match)


async def migrate(connection: Connection) -> list[Step]:
    """Apply what is missing and return it. Safe to run from many processes at once.

    Raises `StartError` when the database is newer than this code.
    """
    # Polled, not awaited: a session that waits for an advisory lock holds a snapshot, and CREATE INDEX CONCURRENTLY
    # in the session that has the lock would wait for that snapshot.
    while not await connection.fetchval(TRY_LOCK, LOCK):  # noqa: ASYNC110 - the event would be another process's
        await asyncio.sleep(0.1)
    try:
        await connection.execute(CREATE_STEPS)
        pending = await _pending(connection)
        for step in pending:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '4s'")
                await connection.execute(step.sql)
                await connection.execute(INSERT_STEP, step.number, step.name)
        return pending
    finally:
        await connection.execute(UNLOCK, LOCK)


async def check_database(url: str) -> None:
    """Raise `StartError` where the database cannot be used now, or has other steps than this code knows."""
    connection = await connect_at_start(url)
    try:
        await require_present(connection)
    finally:
        await connection.close()


async def require_present(connection: Connection) -> None:
    """Raise `StartError` unless the database has exactly the steps that this code knows."""
    if not await connection.fetchval("SELECT to_regclass('migration') IS NOT NULL") or await _pending(connection):
        raise StartError("the database is older than this Koschey; run `koschey migrate`")


async def _pending(connection: Connection) -> list[Step]:
    steps = read_steps()
    applied = {row["step"] for row in await connection.fetch(SELECT_STEPS)}
    if applied - {step.number for step in steps}:
        raise StartError("the database was migrated by a newer Koschey; run that version or restore a backup")
    return [step for step in steps if step.number not in applied]
