"""Connections to PostgreSQL: the pool that all statements run on, and the types that they take."""

import json
import socket
from typing import Any, cast

import asyncpg

type Connection = asyncpg.Connection
"""A connection taken from the pool, possibly inside a transaction."""

type Pool = asyncpg.Pool
"""Runs single statements on a connection of its own."""

type Database = asyncpg.Connection | asyncpg.Pool
"""Where a single statement can run."""

ACQUIRE_TIMEOUT = 5.0
"""Seconds to wait for a free connection before the request fails with 503."""

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # A connection on which the server said farewell between two statements.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    ConnectionError,
    TimeoutError,
    socket.gaierror,  # its name is gone while its container is started again
)
"""What asyncpg raises while PostgreSQL is away; the same request may succeed later."""


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


async def _decode_json(connection: Any) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _reset(connection: Any) -> None:
    """Clean a connection up for the next who takes it; only where that is needed, for it is a round trip.

    Nothing here changes a session outside of a transaction, and whoever listens or locks has a connection of its own.
    """
    if connection.is_in_transaction():
        await connection.reset()
