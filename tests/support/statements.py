"""Records the statements of each transaction in order, and all round trips, on every connection of a pool."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from koschey.db import pool as pools
from koschey.db.journal import INSERT_ENTRIES
from koschey.db.pool import Pool, open_pool

PREPARE = pools._decode_json
EXCHANGES = frozenset(
    {
        "query",
        "prepare",
        "bind_execute",
        "bind_execute_many",
        "bind",
        "execute",
        "close_statement",
        "copy_in",
        "copy_out",
    }
)
"""Methods of asyncpg's protocol that send a message and wait for the answer."""


class CountedProtocol:
    """asyncpg's protocol on one connection, which tells of each round trip before it begins."""

    def __init__(self, inner: Any, tell: Callable[[str], None]) -> None:
        self._inner = inner
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in EXCHANGES:
            return found

        def exchange(*given: Any, **more: Any) -> Any:
            self._tell(name)
            return found(*given, **more)

        return exchange


@dataclass
class Recorder:
    """The ended and open transactions, the oldest first. Each is a list of its statements without BEGIN."""

    transactions: list[list[str]] = field(default_factory=list)
    _trips: list[str] = field(default_factory=list)
    _open: dict[int, list[str]] = field(default_factory=dict)

    async def watch(self, connection: Any) -> None:
        """Record the statements on a connection from now on."""
        await PREPARE(connection)
        number = connection.get_server_pid()

        def hear(query: Any) -> None:
            if query.query.startswith("BEGIN"):
                self._open[number] = []
                self.transactions.append(self._open[number])
            elif query.query.startswith(("COMMIT", "ROLLBACK")):
                self._open.pop(number, None)
            elif number in self._open:
                self._open[number].append(query.query)

        connection.add_query_logger(hear)
        connection._protocol = CountedProtocol(connection._protocol, self._trips.append)

    @contextmanager
    def round_trips(self) -> Iterator[list[str]]:
        """Count the round trips within the block; the list has the method of each once the block has ended."""
        begun, found = len(self._trips), list[str]()
        yield found
        found += self._trips[begun:]

    @property
    def after_journal(self) -> list[Sequence[str]]:
        """For each transaction that locks the journal's counter: the statements that it sends after that."""
        return [said[said.index(INSERT_ENTRIES) + 1 :] for said in self.transactions if INSERT_ENTRIES in said]


@asynccontextmanager
async def recording(database: str) -> AsyncIterator[tuple[Pool, Recorder]]:
    """A pool, and the recorder of its statements."""
    recorder = Recorder()
    with patch.object(pools, "_decode_json", recorder.watch):
        pool = await open_pool(database, size=30)
        try:
            yield pool, recorder
        finally:
            await pool.close()
