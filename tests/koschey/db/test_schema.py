"""The file `schema.sql` shows what all migrations make together. New migrations say when they may be applied.

After a new migration, `pytest -n 0 --write-schema tests/koschey/db/test_schema.py` writes the file again.
"""

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from koschey.db.migrate import migrate, read_steps
from koschey.db.pool import connect
from koschey.embedded.binaries import find_binaries
from tests.support.schema import schema_of

SCHEMA = Path(str(files("koschey.db") / "schema.sql"))
HEAD = """\
-- The present schema: what all migrations make together. It is for readers; no code applies it.
-- A test compares it with a migrated database. Write it again with:
--     pytest -n 0 --write-schema tests/koschey/db/test_schema.py
"""
LEFT_OUT = re.compile(
    r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*|(CREATE|COMMENT ON) SCHEMA .*)\n", re.MULTILINE
)
"""Comments, settings of the session, and the schema itself, which every database has."""
FIRST_NAMED = 10
"""The first step whose name says whether it is applied before or after the new code runs."""


async def migrated(url: str) -> str:
    """Apply all migrations to an empty database, and return its schema as `pg_dump` writes it."""
    connection = await connect(url)
    await migrate(connection)
    await connection.close()
    return dump(url)


def dump(url: str) -> str:
    """Return the schema of a database, without comments and settings of the session."""
    program = find_binaries().postgres.programs / "bin" / "pg_dump"
    options = ["--schema-only", "--schema=public", "--no-owner", "--no-privileges"]
    written = subprocess.run([program, *options, url], capture_output=True, text=True, check=True, timeout=60).stdout
    kept = LEFT_OUT.sub("", written)
    return HEAD + "\n" + re.sub(r"\n{3,}", "\n\n", kept).strip() + "\n"


async def test_the_file_is_the_sum_of_the_migrations(empty_database: str, pytestconfig: pytest.Config) -> None:
    """It equals, line by line, what PostgreSQL says of a migrated database."""
    present = await migrated(empty_database)
    if pytestconfig.getoption("--write-schema"):
        SCHEMA.write_text(present)
    assert SCHEMA.read_text() == present


async def test_the_file_makes_the_same_schema(own_database: str, empty_database: str) -> None:
    """A database that the file made has the columns, constraints, functions, views and triggers of a migrated one."""
    made, expected = await connect(empty_database), await connect(own_database)
    # The file is in the order of pg_dump: functions stand before what they name.
    await made.execute("SET check_function_bodies = off;" + SCHEMA.read_text())
    names = ("columns", "constraints", "indexes", "functions", "views", "triggers")
    found, wanted = await schema_of(made), await schema_of(expected)
    await made.close()
    await expected.close()
    assert {name: found[name] for name in names} == {name: wanted[name] for name in names}


def test_new_migrations_say_when_they_are_applied() -> None:
    """Each name begins with `pre` or `post`: before the new code runs, or after the last old process has ended."""
    for step in read_steps():
        if step.number >= FIRST_NAMED:
            assert re.match(r"(pre|post)_\w+$", step.name), f"{step.number:04}_{step.name}.sql"
