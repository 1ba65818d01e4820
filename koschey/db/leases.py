"""Statements on `lease`: one process does the work, the others wait, and another process replaces a dead holder.

Unlike an advisory lock, a lease needs no connection while it is held, and it expires.
"""

from koschey.db.pool import Database

ACQUIRE_LEASE = """
    INSERT INTO lease (key, holder, until) VALUES ($1, $2, now() + $3 * interval '1 second')
    ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, until = excluded.until
                      WHERE lease.until < now() OR lease.holder = excluded.holder
    RETURNING key
"""
RELEASE_LEASE = "DELETE FROM lease WHERE key = $1 AND holder = $2"
NOTIFY = "SELECT pg_notify('koschey_lease', $1)"


async def acquire_lease(db: Database, key: str, holder: str, seconds: float) -> bool:
    """Take or renew the lease on `key`. Returns False while another holder has it."""
    return await db.fetchval(ACQUIRE_LEASE, key, holder, seconds) is not None


async def release_lease(db: Database, key: str, holder: str) -> None:
    """Return the lease and wake the processes that wait for it."""
    await db.execute(RELEASE_LEASE, key, holder)
    await db.execute(NOTIFY, key)
