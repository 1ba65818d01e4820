"""Connections to PostgreSQL: the pool that runs all statements, and the types of their first arguments."""

import json
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

import asyncpg

from koschey.errors import StartError

type Connection = asyncpg.Connection
"""A connection taken from the pool, possibly inside a transaction."""

type Pool = asyncpg.Pool
"""Runs each statement on any free connection."""

type Database = asyncpg.Connection | asyncpg.Pool
"""A connection or the pool: either can run a single statement."""

ACQUIRE_TIMEOUT = 5.0
"""Seconds to wait for a free connection before the request fails with 503."""

LOST = (
    # SQLSTATE class 08, and 25: the primary became a standby, or a transaction was idle for too long.
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
    # The server closed the connection between two statements.
    asyncpg.InternalClientError,
    # No connection at all: refused, reset, timed out, no name while a container is started again, no descriptor left.
    OSError,
)
"""Errors that asyncpg raises while PostgreSQL cannot do its work: the same request may succeed later.

They do not include a wrong statement, or data that violates a constraint: those are faults of this code.
"""


SLOW = (asyncpg.QueryCanceledError,)
"""Errors among them which say that PostgreSQL ended a statement at its time limit. A repetition takes as long."""
NETWORK = 2.0
"""Seconds for which a client waits longer than a statement may take, so that PostgreSQL says what was too slow."""


def is_outage(error: BaseException) -> bool:
    """Return whether an error means that PostgreSQL cannot do its work now, rather than that this code is wrong."""
    return isinstance(error, LOST)


def read_time(text: str | None) -> datetime | None:
    """Turn a time in a JSON value into the same time that a column would have; None if it is null."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


async def connect_at_start(url: str) -> Connection:
    """Open one connection outside the pool, for a command that starts.

    Raises `StartError`, with one line for the operator, if PostgreSQL cannot be used.
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
"""Errors that another writer causes: the same transaction may succeed if it is repeated at once."""


async def open_pool(url: str, *, size: int = 10, command_timeout: float = 10.0) -> Pool:
    """Open the pool. PostgreSQL must be up; after later outages the pool reconnects."""
    return cast(
        Pool,
        await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            command_timeout=command_timeout + NETWORK,
            init=_decode_json,
            reset=_reset,
            server_settings={
                "application_name": "koschey",
                "idle_in_transaction_session_timeout": "30000",
                "statement_timeout": str(int(command_timeout * 1000)),
            },
        ),
    )


async def extend_limit(connection: Connection, seconds: float) -> None:
    """Allow statements of the current transaction so many seconds. A caller of theirs has to wait as long, too."""
    await connection.execute("SELECT set_config('statement_timeout', $1, true)", str(int(seconds * 1000)))


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
    """Reset a connection for its next user, but only if it is in a transaction, because a reset costs a round trip.

    No statement on the pool changes a session outside of a transaction. Code that listens or locks has its own
    connection.
    """
    if connection.is_in_transaction():
        await connection.reset()
