"""Connections to PostgreSQL: the pool that all statements run on, and the types that they take."""

import json
from typing import Any, cast
from urllib.parse import urlsplit

import asyncpg

from koschey.errors import StartError

type Connection = asyncpg.Connection
"""A connection taken from the pool, possibly inside a transaction."""

type Pool = asyncpg.Pool
"""Runs single statements on a connection of its own."""

type Database = asyncpg.Connection | asyncpg.Pool
"""Where a single statement can run."""

ACQUIRE_TIMEOUT = 5.0
"""Seconds to wait for a free connection before the request fails with 503."""

LOST = (
    # SQLSTATE class 08, and 25: the primary became a standby, or a transaction stood idle for too long.
    asyncpg.PostgresConnectionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # 28 and 3D: a password was changed, or the database is being restored under another name.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # 40 and 55P03: another transaction was in the way.
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    # 53, 57 and 58: no disk, memory or connection left; a shutdown, a start or a time limit; a failing disk.
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.InterfaceError,
    # A connection on which the server said farewell between two statements.
    asyncpg.InternalClientError,
    # No connection at all: refused, reset, timed out, no name while a container is started again, no descriptor left.
    OSError,
)
"""What asyncpg raises while PostgreSQL cannot do its work: the same request may succeed later.

A statement that is wrong, or data that break a constraint, are not among them: those are faults of this code.
"""


def is_outage(error: BaseException) -> bool:
    """Tell whether an error says that PostgreSQL cannot do its work now, and not that this code is wrong."""
    return isinstance(error, LOST)


async def connect_at_start(url: str) -> Connection:
    """Open one connection outside the pool, for a command that starts.

    Raises `StartError`, in one line for the operator, where PostgreSQL cannot be used.
    """
    try:
        return await connect(url)
    except (*LOST, asyncpg.PostgresError) as error:
        raise StartError(_explain(url, error)) from None


PASSING = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
    TimeoutError,
)
"""What is raised where another writer was in the way: the same transaction may succeed at once."""


async def open_pool(url: str, *, size: int = 10, command_timeout: float = 10.0) -> Pool:
    """Open the pool. PostgreSQL must be up; later outages are survived by reconnecting."""
    return cast(
        Pool,
        await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            command_timeout=command_timeout,
            init=_decode_json,
            reset=_reset,
            server_settings={
                "application_name": "koschey",
                "idle_in_transaction_session_timeout": "30000",
                "statement_timeout": str(int(command_timeout * 1000)),
            },
        ),
    )


async def connect(url: str) -> Connection:
    """Open one connection outside the pool, for listening and for migrations."""
    return await asyncpg.connect(url, command_timeout=10.0, timeout=5.0)


def _explain(url: str, error: Exception) -> str:
    parts = urlsplit(url)
    server, check = f"PostgreSQL at {parts.hostname}:{parts.port or 5432}", "check KOSCHEY_DATABASE_URL"
    said = str(error) or type(error).__name__
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"{server} refuses the login: {said}; {check}"
        case asyncpg.InvalidCatalogNameError():
            return f"{server} has no such database: {said}; create it, or {check}"
        case asyncpg.PostgresError() if not isinstance(error, LOST):
            return f"{server} refuses the connection: {said}; {check}"
        case _:
            return f"{server} does not answer: {said}; is it running, and is KOSCHEY_DATABASE_URL right?"


async def _decode_json(connection: Any) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _reset(connection: Any) -> None:
    """Clean a connection up for the next who takes it; only where that is needed, for it is a round trip.

    Nothing here changes a session outside of a transaction, and whoever listens or locks has a connection of its own.
    """
    if connection.is_in_transaction():
        await connection.reset()
