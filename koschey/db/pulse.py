"""Statements on signs of progress: the age of the oldest message for Temporal, and the workers' reports."""

from datetime import datetime, timedelta
from typing import NamedTuple

from koschey.db.pool import Database

SELECT_PULSE = """
    SELECT koschey_now() AS now,
           (SELECT koschey_now() - min(first_due_at) FROM outbox WHERE first_due_at <= koschey_now()) AS outbox_age,
           (SELECT now() - max(seen_at) FROM worker) AS worker_seen,
           (SELECT now() - max(temporal_at) FROM worker) AS temporal_seen
"""
UPSERT_WORKER = """
    INSERT INTO worker (name, seen_at, temporal_at) VALUES ($1, now(), CASE WHEN $2 THEN now() END)
    ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at,
                                     temporal_at = coalesce(excluded.temporal_at, worker.temporal_at)
"""
DELETE_OLD_WORKERS = "DELETE FROM worker WHERE seen_at < now() - interval '1 day'"

LATE = timedelta(minutes=5)
"""Age of a due message from which an operator should act: a relay sends it within 1 second, and again after 30."""


class Pulse(NamedTuple):
    """How long ago each event happened; None if it never happened."""

    now: datetime
    outbox_age: timedelta | None
    """How long the oldest message has been due; None if no message is due."""
    worker_seen: timedelta | None
    """Time since the last report of a worker."""
    temporal_seen: timedelta | None
    """Time since Temporal last answered a worker."""

    @property
    def is_late(self) -> bool:
        """Whether messages are not relayed to Temporal in time."""
        return self.outbox_age is not None and self.outbox_age >= LATE


async def select_pulse(db: Database) -> Pulse:
    """Return the data that health checks and the panel show."""
    return Pulse(**await db.fetchrow(SELECT_PULSE))


async def report_worker(db: Database, name: str, *, reached_temporal: bool) -> None:
    """Record that a worker is alive. Deletes workers that have not reported for a day."""
    await db.execute(UPSERT_WORKER, name, reached_temporal)
    await db.execute(DELETE_OLD_WORKERS)
