"""The recorder finds what waits inside of a transaction, and leaves alone what waits outside of one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from koschey.db.pool import Connection, Pool
from tests.support import recorder

__name__ = "koschey.a_test"
type Work = Callable[[Pool, Connection], Awaitable[Any]]


async def sleep(_pool: Pool, _connection: Connection) -> None:
    await asyncio.sleep(0.001)


async def leave_to_a_thread(_pool: Pool, _connection: Connection) -> None:
    await asyncio.to_thread(int, "1")


async def gather(_pool: Pool, connection: Connection) -> None:
    await asyncio.gather(connection.fetchval("SELECT 1"))


async def take_another(pool: Pool, _connection: Connection) -> None:
    await pool.fetchval("SELECT 1")


async def sleep_in_a_generator(_pool: Pool, _connection: Connection) -> None:
    async def numbers() -> AsyncIterator[int]:
        await asyncio.sleep(0.001)
        yield 1

    async for _ in numbers():
        pass


async def sleep_in_a_step(_pool: Pool, _connection: Connection) -> None:
    async def numbers() -> AsyncIterator[int]:
        await asyncio.sleep(0.001)
        yield 1

    await anext(numbers(), None)


async def ask(_pool: Pool, connection: Connection) -> None:
    await connection.fetchval("SELECT 1")


async def ask_in_a_step(_pool: Pool, connection: Connection) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield await connection.fetchval("SELECT 1")

    await anext(numbers(), None)


async def ask_in_a_generator(_pool: Pool, connection: Connection) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield await connection.fetchval("SELECT 1")

    async for _ in numbers():
        pass


async def in_transaction(connection: Connection, work: Callable[[], Awaitable[Any]]) -> None:
    """Work in a transaction."""
    async with connection.transaction():
        await work()


@pytest.mark.parametrize(
    "work", [sleep, leave_to_a_thread, gather, take_another, sleep_in_a_generator, sleep_in_a_step]
)
async def test_waiting_in_a_transaction_is_found(pool: Pool, connection: Connection, work: Work) -> None:
    """Time, a thread, another task and a second connection are something other than PostgreSQL."""
    await in_transaction(connection, lambda: work(pool, connection))
    assert recorder._offences
    assert work.__name__ in recorder._offences[0]
    recorder._offences.clear()


@pytest.mark.parametrize("work", [ask, ask_in_a_generator, ask_in_a_step])
async def test_statements_are_fine(pool: Pool, connection: Connection, work: Work) -> None:
    """What the transaction itself asks PostgreSQL is what a transaction is for."""
    await in_transaction(connection, lambda: work(pool, connection))
    assert not recorder._offences


@pytest.mark.parametrize("work", [sleep, take_another])
async def test_waiting_outside_is_fine(pool: Pool, connection: Connection, work: Work) -> None:
    """Before and after a transaction everything may be waited for."""
    await work(pool, connection)
    await in_transaction(connection, lambda: ask(pool, connection))
    await work(pool, connection)
    assert not recorder._offences
