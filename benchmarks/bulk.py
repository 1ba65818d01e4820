"""Adds very many rows to a database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from koschey.db.pool import Connection
from tests.support.scale import PATIENCE

NEEDED = ["project_serial", "project_name_bytes", "file_release"]
"""Indexes by which the rows that are added find others."""
TABLES = ["project", "file", "standing", "journal", "download", "debut", "finding"]
"""Tables with very many rows."""
END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend'
"""
SELECT_INDEXES = """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
      FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
     WHERE relnamespace = 'public'::regnamespace AND relname <> ALL ($1::text[])
       AND indrelid::regclass::text = ANY ($2::text[])
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
     ORDER BY indexrelid
"""


@asynccontextmanager
async def without_indexes(connection: Connection) -> AsyncIterator[None]:
    """Drop the indexes that adding rows does not need, and build them at the end, which is many times faster."""
    # A process that was halted within a transaction would keep its locks.
    await connection.execute(END_OTHERS)
    dropped = await connection.fetch(SELECT_INDEXES, NEEDED, TABLES)
    for row in dropped:
        await connection.execute(f"DROP INDEX {row['name']}")
    for setting in ("max_wal_size = '16GB'", "checkpoint_timeout = '1h'"):
        await connection.execute(f"ALTER SYSTEM SET {setting}")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.execute("SET maintenance_work_mem = '1GB'")
    yield
    for row in dropped:
        await connection.execute(row["definition"], timeout=PATIENCE)
    await connection.execute("ALTER SYSTEM RESET ALL")
    await connection.execute("SELECT pg_reload_conf()")
