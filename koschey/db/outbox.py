"""Statements on `outbox`: work for Temporal, written in the transaction of its cause and relayed by the worker."""

from collections.abc import Sequence
from datetime import timedelta

from koschey.db.pool import Connection, Database
from koschey.outbox import Message, parse_message, render_message

INSERT_MESSAGE = """
    INSERT INTO outbox (key, kind, payload, due_at) VALUES ($1, $2, $3, koschey_now() + $4)
    ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, due_at = least(outbox.due_at, excluded.due_at)
"""
NOTIFY = "SELECT pg_notify('koschey_outbox', '')"
SELECT_DUE = """
    SELECT id, kind, payload FROM outbox
     WHERE due_at <= koschey_now()
     ORDER BY due_at, id
     LIMIT $1
       FOR UPDATE SKIP LOCKED
"""
DELETE_MESSAGES = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
DELETE_BY_KEY = "DELETE FROM outbox WHERE key = $1"


async def insert_message(connection: Connection, message: Message, *, delay: timedelta = timedelta()) -> None:
    """Hand work to Temporal once this transaction commits and the delay has passed. The same key twice is once."""
    kind, key, payload = render_message(message)
    await connection.execute(INSERT_MESSAGE, key, kind, payload, delay)
    await connection.execute(NOTIFY)


async def select_due(connection: Connection, limit: int) -> list[tuple[int, Message]]:
    """Return what is due, locked for this transaction; other relays skip it."""
    rows = await connection.fetch(SELECT_DUE, limit)
    return [(row["id"], parse_message(row["kind"], row["payload"])) for row in rows]


async def delete_messages(connection: Connection, ids: Sequence[int]) -> None:
    """Forget what Temporal has taken."""
    await connection.execute(DELETE_MESSAGES, list(ids))


async def delete_message(db: Database, message: Message) -> None:
    """Take a message back that is no longer needed."""
    _, key, _ = render_message(message)
    await db.execute(DELETE_BY_KEY, key)
