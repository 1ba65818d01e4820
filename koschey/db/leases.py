"""Statements on `lease`: one process does the work, the others wait, and another process replaces a dead holder.

Unlike an advisory lock, a lease needs no connection while it is held, and it expires.
"""

from typing import NamedTuple

from koschey.db.pool import Database

UNFLUSHED = "set_config('synchronous_commit', 'off', true)"
"""Part of a statement that is a transaction by itself: its commit does not wait for the disk.

If PostgreSQL crashes at once, the lease is lost as if it had expired: two processes may do the same work, and both
results are right. The transactions that write results wait for the disk as always.
"""


def acquire_by(key: str, holder: str, seconds: str, condition: str = "true") -> str:
    """Return a statement, a transaction by itself, that acquires a lease with these parameters on a condition.

    A holder may delete its lease in the transaction that writes the result of its work. The condition on the lease, as
    the statement sees it, keeps others from waiting for the end of that transaction: a statement that has waited sees
    other tables as they were before. So a process that acquires a lease sees the results of all work before it.
    """
    return f"""
        INSERT INTO lease (key, holder, until)
        SELECT {key}, {holder}, now() + {seconds} * interval '1 second'
         WHERE {condition}
           AND NOT EXISTS (SELECT FROM lease WHERE key = {key} AND holder <> {holder} AND until >= now())
        ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, until = excluded.until
                          WHERE lease.until < now() OR lease.holder = excluded.holder
        RETURNING key, {UNFLUSHED}
    """  # noqa: S608


ACQUIRE_LEASE = acquire_by("$1", "$2", "$3")
RENEW_LEASE = "UPDATE lease SET until = now() + $3 * interval '1 second' WHERE key = $1 AND holder = $2"
RELEASE_LEASE = f"""
    WITH released AS (DELETE FROM lease WHERE key = $1 AND holder = $2)
    SELECT pg_notify('koschey_lease', $1), {UNFLUSHED}
"""  # noqa: S608


class Lease(NamedTuple):
    """A lease that is held."""

    key: str
    holder: str


async def acquire_lease(db: Database, key: str, holder: str, seconds: float) -> bool:
    """Take or renew the lease on `key`. Returns False while another holder has it."""
    return await db.fetchval(ACQUIRE_LEASE, key, holder, seconds) is not None


async def renew_lease(db: Database, key: str, holder: str, seconds: float) -> None:
    """Renew the lease on `key`, unless it was released or another holder has it."""
    await db.execute(RENEW_LEASE, key, holder, seconds)


async def release_lease(db: Database, key: str, holder: str) -> None:
    """Return the lease and wake the processes that wait for it."""
    await db.execute(RELEASE_LEASE, key, holder)
