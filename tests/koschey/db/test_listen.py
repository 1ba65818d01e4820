"""Hearing what others commit, and never trusting an ear that was deaf for a while."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import pytest

from koschey.concurrency import supervision
from koschey.concurrency.supervision import supervise
from koschey.concurrency.waiting import cancelled
from koschey.db import listen
from koschey.db.listen import Listener
from koschey.db.pool import Connection, connect, is_outage
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again at once, so that a test need not wait."""
    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.02)


def start(listener: Listener) -> asyncio.Task[None]:
    """Listen as every process does."""
    return asyncio.create_task(supervise("a listener", listener.run, is_outage))


@dataclass
class Ear:
    """What a listener was told, in order."""

    told: list[str] = field(default_factory=list)
    listener: Listener | None = None

    def lost(self) -> None:
        self.told.append(f"lost while {'trusted' if self.trusted else 'not trusted'}")

    @property
    def trusted(self) -> bool:
        return self.listener is not None and self.listener.is_trusted


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Ear]:
    ear = Ear()
    ear.listener = Listener(
        url,
        {"one": lambda text, _: ear.told.append(f"one {text}"), "two": lambda text, _: ear.told.append(f"two {text}")},
        on_lost=ear.lost,
    )
    task = start(ear.listener)
    try:
        yield ear
    finally:
        await cancelled(task)


async def end_others(connection: Connection) -> int:
    """Cut every other connection to this database, as an outage would."""
    return int(
        await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )


async def test_channels_are_heard(database: str, connection: Connection) -> None:
    """Each channel calls its own function with what was sent; what was remembered before is not trusted."""
    async with listening(database) as ear:
        await eventually(lambda: ear.trusted)
        await connection.execute("SELECT pg_notify('one', 'spam'), pg_notify('two', 'eggs'), pg_notify('three', 'ham')")
        await eventually(lambda: len(ear.told) >= 3)
        assert ear.told == ["lost while not trusted", "one spam", "two eggs"]


async def test_a_lost_connection_is_told_and_made_again(database: str, connection: Connection) -> None:
    """Whoever depends on it is told at once that the connection is lost, and again when it is back."""
    async with listening(database) as ear:
        await eventually(lambda: ear.trusted)
        ear.told.clear()
        assert await end_others(connection) == 1
        await eventually(lambda: len(ear.told) >= 2 and ear.trusted)
        assert set(ear.told) == {"lost while not trusted"}
        ear.told.clear()
        await connection.execute("SELECT pg_notify('one', 'again')")
        await eventually(lambda: bool(ear.told))
        assert ear.told == ["one again"]


async def test_nothing_is_trusted_until_it_listens(database: str) -> None:
    """Before it listens on every channel, and after its end, the listener is not connected."""
    listener = Listener(database, {"one": lambda *_: None})
    assert not listener.is_trusted
    task = start(listener)
    await eventually(lambda: listener.is_trusted)
    await cancelled(task)
    assert not listener.is_trusted


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        socket.gaierror("its container is being started again"),
        OSError(errno.EHOSTUNREACH, "no route to host"),
        TimeoutError(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_absent_database_is_waited_for(
    database: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """While PostgreSQL cannot be reached, for whatever reason, the listener goes on trying."""
    attempts: list[bool] = []

    async def late(address: str) -> Connection:
        attempts.append(ear.trusted)
        if len(attempts) < 3:
            raise error
        return await connect(address)

    monkeypatch.setattr(listen, "connect", late)
    async with listening(database) as ear:
        await eventually(lambda: ear.trusted)
    assert attempts == [False] * 3


async def test_an_unexpected_answer_is_survived(database: str, connection: Connection) -> None:
    """A function that fails does not make the listener deaf."""
    heard: list[str] = []

    def hear(text: str, _sender: int) -> None:
        heard.append(text)
        if text == "bad":
            raise ValueError(text)

    listener = Listener(database, {"one": hear})
    problems: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    task = start(listener)
    await eventually(lambda: listener.is_trusted)
    for text in ("bad", "good"):
        await connection.execute("SELECT pg_notify('one', $1)", text)
    await eventually(lambda: len(heard) == 2)
    assert heard == ["bad", "good"]
    assert len(problems) == 1
    await cancelled(task)
