"""The relay outlives every outage of PostgreSQL and of Temporal, and every message that cannot be sent."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import asyncpg
import pytest
from packaging.utils import NormalizedName
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from koschey.concurrency import supervision
from koschey.concurrency.supervision import Background
from koschey.db import outbox
from koschey.db.outbox import insert_message
from koschey.db.pool import Connection, Pool
from koschey.model import FileId
from koschey.outbox import FileWanted, Message, ReleaseHeld
from koschey.worker import relay
from koschey.worker.relay import Relay

OUTAGES = [
    asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE in a read-only transaction"),
    asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.SerializationError("could not serialize access"),
    asyncpg.DiskFullError("could not extend file: No space left on device"),
    asyncpg.OutOfMemoryError("out of memory"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.InvalidPasswordError("password authentication failed"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    OSError(errno.EMFILE, "Too many open files"),
    TimeoutError(),
]


@dataclass
class Temporal:
    """Takes down which workflows are started. It can refuse some of them."""

    refused: dict[str, Exception] = field(default_factory=dict)
    started: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def start_workflow(self, _workflow: Any, _given: object, *, id: str, **_: Any) -> None:  # noqa: A002 - its name there
        if error := self.refused.get(id):
            raise error
        await self.started.put(id)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin again at once."""
    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(relay, "POLL", 0.05)


@asynccontextmanager
async def relaying(pool: Pool, database: str, temporal: Temporal) -> AsyncIterator[None]:
    def fail(failure: Exception) -> None:
        pytest.fail(str(failure))

    async with Background(fail) as tasks:
        Relay(pool, cast(Client, temporal), database, searchable=False, webhook=False).start(tasks)
        yield


async def send(connection: Connection, message: Message) -> None:
    async with connection.transaction():
        await insert_message(connection, message)


async def next_started(temporal: Temporal) -> str:
    return await asyncio.wait_for(temporal.started.get(), 20)


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: type(error).__name__)
async def test_outages_are_waited_for(
    pool: Pool, connection: Connection, database: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever PostgreSQL fails with, messages are sent once it works again."""
    failures = iter([error] * (supervision.ATTEMPTS + 5))
    claim = outbox.claim_messages

    async def claim_later(*given: Any) -> Any:
        if failure := next(failures, None):
            raise failure
        return await claim(*given)

    monkeypatch.setattr(relay, "claim_messages", claim_later)
    monkeypatch.setattr(supervision, "LONGEST_WAIT", 0.01)
    temporal = Temporal()
    await send(connection, FileWanted(FileId(1)))
    async with relaying(pool, database, temporal):
        assert await next_started(temporal) == "fetch/1"


async def test_a_standby_is_waited_for(pool: Pool, connection: Connection, database: str) -> None:
    """F5: while the primary takes no writes nothing is sent, and then everything is."""
    temporal = Temporal()
    name = database.rpartition("/")[2]
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        await pool.expire_connections()
        async with relaying(pool, database, temporal):
            await connection.execute("SET default_transaction_read_only = off")
            await send(connection, FileWanted(FileId(1)))
            await asyncio.sleep(1)
            assert temporal.started.empty()
            await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            await pool.expire_connections()
            assert await next_started(temporal) == "fetch/1"
    finally:
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such encoding"),
        RPCError("too long", RPCStatusCode.INVALID_ARGUMENT, b""),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_one_bad_message_keeps_no_other_waiting(
    pool: Pool, connection: Connection, database: str, error: Exception
) -> None:
    """What can never be sent stays in the outbox; what comes after it is sent."""
    temporal = Temporal(refused={"fetch/1": error})
    async with relaying(pool, database, temporal):
        for number in range(1, 30):
            await send(connection, FileWanted(FileId(number)))
        started = {await next_started(temporal) for _ in range(28)}
        assert started == {f"fetch/{number}" for number in range(2, 30)}
        # A message leaves the outbox after it has been sent.
        async with asyncio.timeout(20):
            while await connection.fetchval("SELECT count(*) FROM outbox") > 1:
                await asyncio.sleep(0.01)
    assert await connection.fetchval("SELECT array_agg(key) FROM outbox") == ["file_wanted/1"]


async def test_temporal_is_waited_for(pool: Pool, connection: Connection, database: str) -> None:
    """While Temporal does not answer the message stays, and leaves when it does."""
    away = RPCError("no answer", RPCStatusCode.UNAVAILABLE, b"")
    temporal = Temporal(refused={"quarantine/spam/1.0": away})
    async with relaying(pool, database, temporal):
        await send(connection, ReleaseHeld(NormalizedName("spam"), "1.0"))
        await asyncio.sleep(0.3)
        temporal.refused.clear()
        await send(connection, ReleaseHeld(NormalizedName("spam"), "1.0"))
        assert await next_started(temporal) == "quarantine/spam/1.0"
