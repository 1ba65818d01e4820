"""Brings a database to the present schema: plain numbered SQL, forward only, one transaction each.

Each step is compatible with the code that is still running when it is applied. A published step never changes: its
digest is in `migrations/SHA256SUMS` and, once it was applied, in the database. Every start compares all three, so that
no process works with another schema than its code expects.

A step whose first line is `OUTSIDE` runs outside a transaction, because PostgreSQL builds an index without locking out
writers only there. Each of its paragraphs is one statement, which commits by itself. A step that failed half way is
applied again from its beginning, so that each statement has to be one that may be repeated.
"""

import asyncio
import hashlib
import re
from importlib import resources
from typing import NamedTuple

from koschey.db.pool import Connection, connect_at_start
from koschey.errors import StartError
from koschey.model import Sha256

LOCK = 0x6B6F7363
"""Key of the advisory lock under which steps are applied."""
PATIENCE = 7 * 86400.0
"""Maximum seconds for a statement: some steps read every row, and a step that is cancelled would never be applied."""
LOCK_PATIENCE = "4s"
"""How long a step waits for a lock. All clients of that table wait behind it."""
OUTSIDE = "-- Outside a transaction."
PARAGRAPH = re.compile(r"\n{2,}")
SUMS = "SHA256SUMS"
"""The file with the digest of each step, as `sha256sum` writes it."""

TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
UNLOCK = "SELECT pg_advisory_unlock($1)"
CREATE_STEPS = """
    CREATE TABLE IF NOT EXISTS migration (
        step       integer PRIMARY KEY,
        name       text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""
ADD_DIGEST = "ALTER TABLE migration ADD COLUMN IF NOT EXISTS digest text"
# As JSON, because older databases do not have the column yet.
SELECT_STEPS = "SELECT step, to_jsonb(migration) ->> 'digest' AS digest FROM migration ORDER BY step"
SET_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', $1, $2::boolean)"
INSERT_STEP = "INSERT INTO migration (step, name, digest) VALUES ($1, $2, $3)"
# Steps that were applied before digests were stored; step 10 made differing databases have one schema.
UPDATE_DIGESTS = """
    UPDATE migration SET digest = known.digest
      FROM unnest($1::integer[], $2::text[]) AS known (step, digest)
     WHERE migration.step = known.step AND migration.digest IS NULL
"""


class Step(NamedTuple):
    """One migration file, `0001_name.sql`."""

    number: int
    name: str
    sql: str
    digest: Sha256


def read_steps() -> list[Step]:
    """Return all steps that this version of the code has, in order.

    Raises `StartError` if a step is not as it was published.
    """
    folder = resources.files("koschey.db") / "migrations"
    published = {line[66:]: line[:64] for line in (folder / SUMS).read_text().splitlines()}
    steps = [_read_step(match, file.read_bytes()) for file in folder.iterdir() if (match := STEP.fullmatch(file.name))]
    for step in steps:
        file = f"{step.number:04}_{step.name}.sql"
        if published.get(file) != step.digest:
            raise StartError(f"the migration {file} is not the one that was published; install Koschey again")
    return sorted(steps)


STEP = re.compile(r"(\d{4})_(\w+)\.sql")


def _read_step(name: re.Match[str], content: bytes) -> Step:
    return Step(int(name[1]), name[2], content.decode(), Sha256(hashlib.sha256(content).hexdigest()))


async def migrate(connection: Connection) -> list[Step]:
    """Apply the missing steps and return them. Safe to run from many processes at once.

    Raises `StartError` if the database has steps that this code does not have, or another version of one.
    """
    # The lock is polled: a session that waits for an advisory lock holds a snapshot, and CREATE INDEX CONCURRENTLY in
    # the session that has the lock would wait for that snapshot.
    while not await connection.fetchval(TRY_LOCK, LOCK):  # noqa: ASYNC110 - the event would be another process's
        await asyncio.sleep(0.1)
    try:
        await connection.execute(CREATE_STEPS)
        await connection.execute(ADD_DIGEST)
        pending = await _pending(connection)
        for step in pending:
            await apply_step(connection, step)
        steps = read_steps()
        await connection.execute(UPDATE_DIGESTS, [step.number for step in steps], [step.digest for step in steps])
        return pending
    finally:
        await connection.execute(UNLOCK, LOCK)


async def apply_step(connection: Connection, step: Step) -> None:
    """Apply one step, which must be the next."""
    await (_apply_outside if step.sql.startswith(OUTSIDE) else _apply)(connection, step)


async def _apply(connection: Connection, step: Step) -> None:
    async with connection.transaction():
        await connection.execute(SET_LOCK_TIMEOUT, LOCK_PATIENCE, True)
        await connection.execute(step.sql, timeout=PATIENCE)
        await connection.execute(INSERT_STEP, step.number, step.name, step.digest)


async def _apply_outside(connection: Connection, step: Step) -> None:
    try:
        for statement in PARAGRAPH.split(step.sql.strip()):
            # An index that is built concurrently waits for other transactions to end, and nobody waits behind it.
            patience = "0" if "CONCURRENTLY" in statement else LOCK_PATIENCE
            await connection.execute(SET_LOCK_TIMEOUT, patience, False)
            await connection.execute(statement, timeout=PATIENCE)
        await connection.execute(INSERT_STEP, step.number, step.name, step.digest)
    finally:
        await connection.execute("RESET lock_timeout")


async def check_database(url: str) -> None:
    """Raise `StartError` if the database cannot be used now, or has other steps than this code."""
    connection = await connect_at_start(url)
    try:
        await require_present(connection)
    finally:
        await connection.close()


async def require_present(connection: Connection) -> None:
    """Raise `StartError` unless the database has exactly the steps of this code."""
    if not await _is_present(connection):
        raise StartError("the database is older than this Koschey; run `koschey migrate`")


async def is_migrated(url: str) -> bool:
    """Return whether no step is missing. Raises `StartError` as `check_database` does for everything else."""
    connection = await connect_at_start(url)
    try:
        return await _is_present(connection)
    finally:
        await connection.close()


async def _is_present(connection: Connection) -> bool:
    exists = await connection.fetchval("SELECT to_regclass('migration') IS NOT NULL")
    return bool(exists) and not await _pending(connection)


async def _pending(connection: Connection) -> list[Step]:
    """Return the missing steps. Raises `StartError` if the database has others than this code."""
    steps = {step.number: step for step in read_steps()}
    applied = {row["step"]: row["digest"] for row in await connection.fetch(SELECT_STEPS)}
    if applied.keys() - steps.keys():
        raise StartError("the database was migrated by a newer Koschey; run that version or restore a backup")
    for number, digest in applied.items():
        if digest not in (None, steps[number].digest):
            raise StartError(
                f"the database has another migration {number:04} than this Koschey; run the version that applied it, "
                "or restore a backup"
            )
    return [step for number, step in steps.items() if number not in applied]
