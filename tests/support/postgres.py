"""PostgreSQL for tests that need no whole Koschey: one server per session, and an empty database for each test.

`database` is the URL of a migrated database, which is emptied before each test, because that is many times faster than
a new one; `pool` and `connection` are open on it. A test may also migrate and damage `own_database` and
`empty_database`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from koschey.db.migrate import migrate
from koschey.db.pool import Connection, Database, Pool, connect, open_pool
from koschey.embedded.account import postgres_account, reachable_tree
from koschey.embedded.binaries import find_binaries
from koschey.embedded.child import Child, Part, stop_all
from koschey.embedded.data_folder import private_folder
from koschey.embedded.environment import ROLE
from koschey.embedded.ports import listen_anywhere
from koschey.embedded.postgres import make_cluster, postgres_part
from koschey.embedded.secret_file import Secrets

MIGRATED = "migrated"
"""The database from which others are copied."""
SHARED = "shared"
"""The copy that tests use one after another."""
SEEDED = frozenset({"migration", "index", "legal_move", "journal_head"})
"""Tables whose rows the migrations have written."""
EMPTY = """
    SET LOCAL session_replication_role = replica;  -- no trigger refuses, and no foreign key asks
    DO $$
    DECLARE name text;
    BEGIN
        FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                       AND relname <> ALL (%s)
        LOOP EXECUTE format('DELETE FROM %%I', name); END LOOP;
        FOR name IN SELECT relname FROM pg_class WHERE relkind = 'S' AND relname <> 'index_id_seq'
        LOOP PERFORM setval(name::regclass, 1, false); END LOOP;
    END $$;
    DELETE FROM index WHERE name <> 'main';
    UPDATE journal_head SET serial = 0, at = '-infinity';
"""
CLOCK = """
    CREATE OR REPLACE FUNCTION koschey_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$SELECT %s$$
"""


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    port: int
    secrets: Secrets = field(repr=False)
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

    def url(self, database: str) -> str:
        """The URL of a database for Koschey's own role, which is no superuser."""
        return f"postgresql://{ROLE}:{self.secrets.postgres}@127.0.0.1:{self.port}/{database}"

    def superuser_url(self, database: str) -> str:
        """The URL of a database for the superuser."""
        return f"postgresql://postgres:{self.secrets.postgres_superuser}@127.0.0.1:{self.port}/{database}"

    async def create(self, template: str, name: str | None = None) -> str:
        """Create a database and return its name."""
        name = name or f"test_{next(self._numbers)}"
        await self._command(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    async def drop(self, name: str) -> None:
        """Drop a database, even if clients are still connected."""
        await self._command(f"DROP DATABASE {name} WITH (FORCE)")

    async def empty(self, name: str) -> None:
        """Reset a migrated database to its state after the migration."""
        end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> $2"
        tables = "ARRAY[" + ", ".join(f"'{table}'" for table in sorted(SEEDED)) + "]"
        async with self._superuser(name) as connection:
            await connection.fetch(end_others, name, connection.get_server_pid())
            async with connection.transaction():
                await connection.execute(CLOCK % "now()")
                await connection.execute(EMPTY % tables)

    async def _command(self, command: str) -> None:
        async with self._superuser("postgres") as connection:
            await connection.execute(command)

    @asynccontextmanager
    async def _superuser(self, database: str) -> AsyncIterator[Connection]:
        connection = await asyncpg.connect(self.superuser_url(database))
        try:
            yield connection
        finally:
            await connection.close()


@contextmanager
def new_server(home: Path, *, fsync: bool = False) -> Iterator[Postgres]:
    """Run a server as `koschey up` starts it, except that it does not wait for the disk unless `fsync` is true."""
    home.mkdir()
    home.chmod(0o711)
    private_folder(home / "logs")
    account, secrets = postgres_account(), Secrets()
    tree = reachable_tree(find_binaries().postgres, home, account)
    make_cluster(home, tree, secrets, account, _run)
    server = Postgres(_free_port(), secrets)
    part = postgres_part(home, tree, server.port, account, web_processes=1)
    child = Child(part if fsync else replace(part, command=(*part.command, "--fsync=off")))
    try:
        wait_until_ready(child)
        yield server
    finally:
        stop_all([child])


@pytest.fixture(scope="session")
def postgres(folder: Path) -> Iterator[Postgres]:
    """A server with a migrated database to copy."""
    with new_server(folder / "parts") as server:
        with asyncio.Runner() as runner:
            runner.run(_make_template(server))
        yield server


@pytest_asyncio.fixture
async def database(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of a migrated database without rows, which no other client uses."""
    await postgres.empty(SHARED)
    yield postgres.url(SHARED)


@pytest_asyncio.fixture
async def own_database(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of a migrated database that no other test uses."""
    async with _fresh(postgres, MIGRATED) as url:
        yield url


@pytest_asyncio.fixture
async def empty_database(postgres: Postgres) -> AsyncIterator[str]:
    """The URL of a database without a single table."""
    async with _fresh(postgres, "template1") as url:
        yield url


@pytest_asyncio.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """The pool of a web process or a worker."""
    pool = await open_pool(database, size=30)
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool, outside any transaction."""
    async with pool.acquire() as connection:
        yield connection


async def set_clock(db: Database, moment: datetime) -> None:
    """Set the database's clock to a moment, at which it stands still."""
    await db.execute(CLOCK % f"timestamptz '{moment.isoformat()}'")


@asynccontextmanager
async def _fresh(postgres: Postgres, template: str) -> AsyncIterator[str]:
    name = await postgres.create(template)
    try:
        yield postgres.url(name)
    finally:
        await postgres.drop(name)


async def _make_template(server: Postgres) -> None:
    await server.create("template1", MIGRATED)
    connection = await connect(server.url(MIGRATED))
    try:
        await migrate(connection)
    finally:
        await connection.close()
    await server.create(MIGRATED, SHARED)


def _run(part: Part) -> None:
    child = Child(part)
    wait_until_ready(child)
    child.finish()


def wait_until_ready(child: Child) -> None:
    """Wait until a part is ready. A part that ends before that has failed."""
    while True:
        # Read before `is_ready`: a part that ends successfully between the two calls has not failed.
        status = child.exit_status()
        if child.is_ready():
            return
        assert status is None, child.last_words()
        assert time.monotonic() < child.started + child.part.patience, child.last_words()
        time.sleep(0.02)


def _free_port() -> int:
    with listen_anywhere("127.0.0.1") as listener:
        return int(listener.getsockname()[1])
