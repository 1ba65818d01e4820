"""Statements on `outbox`: work for Temporal, written in the transaction of its cause and relayed by the worker.

A relay claims messages for a while and sends them outside of any transaction. So a writer never waits for Temporal,
even if it writes a message that is being sent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from koschey.db.pool import Connection, Database
from koschey.outbox import Message, render_message

INSERT_MESSAGE = """
    INSERT INTO outbox (key, kind, payload, due_at, first_due_at)
    VALUES ($1, $2, $3, koschey_now() + $4, koschey_now() + $4)
    ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, due_at = least(outbox.due_at, excluded.due_at),
                                    first_due_at = least(outbox.first_due_at, excluded.first_due_at),
                                    revision = outbox.revision + 1
"""
MERGED = """
    ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, due_at = least(outbox.due_at, excluded.due_at),
                                    revision = outbox.revision + 1
"""
"""The part of a statement that makes one message of those with one key."""
INSERT_MESSAGES = f"""
    WITH message AS (
        INSERT INTO outbox (key, kind, payload)
        SELECT * FROM unnest($1::text[], $2::text[], $3::jsonb[])
        {MERGED}
    )
    SELECT pg_notify('koschey_outbox', '')
"""  # noqa: S608
NOTIFY = "SELECT pg_notify('koschey_outbox', '')"
# Materialised: PostgreSQL may run a plain subquery with a lock and a limit more than once, and claim too many rows.
CLAIM_MESSAGES = """
    WITH due AS MATERIALIZED (
        SELECT id FROM outbox WHERE due_at <= koschey_now() ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE outbox SET due_at = koschey_now() + $2 FROM due WHERE outbox.id = due.id
    RETURNING outbox.id, revision, kind, payload
"""
DELETE_SENT = """
    DELETE FROM outbox USING unnest($1::bigint[], $2::bigint[]) AS sent (id, revision)
     WHERE outbox.id = sent.id AND outbox.revision = sent.revision
"""
DELETE_BY_KEY = "DELETE FROM outbox WHERE key = $1"


@dataclass(frozen=True, slots=True)
class Claim:
    """A message at the time of its claim."""

    id: int
    revision: int
    kind: str
    payload: dict[str, object]


async def insert_message(connection: Connection, message: Message, *, delay: timedelta = timedelta()) -> None:
    """Send work to Temporal once this transaction commits and the delay has passed. One key is sent once."""
    kind, key, payload = render_message(message)
    await connection.execute(INSERT_MESSAGE, key, kind, payload, delay)
    # The relay searches every second for messages that become due by time.
    if not delay:
        await connection.execute(NOTIFY)


async def insert_messages(connection: Connection, messages: Iterable[Message]) -> None:
    """Send work to Temporal once this transaction commits. Needs one statement for any number of messages."""
    keys, kinds, payloads = columns_of(messages)
    if keys:
        await connection.execute(INSERT_MESSAGES, keys, kinds, payloads)


def columns_of(messages: Iterable[Message]) -> tuple[list[str], list[str], list[dict[str, object]]]:
    """Return the columns of messages: their keys, kinds and payloads. Each key occurs once."""
    rendered = {key: (kind, payload) for kind, key, payload in map(render_message, messages)}
    return list(rendered), [kind for kind, _ in rendered.values()], [payload for _, payload in rendered.values()]


async def claim_messages(db: Database, limit: int, span: timedelta) -> Sequence[Claim]:
    """Return the oldest due messages, and keep other relays from them for `span`."""
    rows = await db.fetch(CLAIM_MESSAGES, limit, span)
    return [Claim(**row) for row in sorted(rows, key=lambda row: int(row["id"]))]


async def delete_sent(db: Database, claims: Sequence[Claim]) -> None:
    """Delete messages that Temporal has accepted, except those that were written again meanwhile."""
    await db.execute(DELETE_SENT, [claim.id for claim in claims], [claim.revision for claim in claims])


async def delete_message(db: Database, message: Message) -> None:
    """Delete a message that is no longer needed."""
    _, key, _ = render_message(message)
    await db.execute(DELETE_BY_KEY, key)
