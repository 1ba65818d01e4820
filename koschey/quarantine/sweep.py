"""Finds what no event would trigger: held releases without a workflow or an outcome of a check, and unsent alerts."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from koschey.db.alerts import select_unsent
from koschey.db.outbox import insert_messages
from koschey.db.pool import Connection, Pool
from koschey.db.waiting import HeldFile, select_held_files, select_unchecked
from koschey.outbox import AlertRaised, ReleaseHeld

WALKED = 1_000
"""Maximum number of held files, or of alerts, in one step."""
NEWS_FOR = timedelta(days=7)
"""Maximum age of an alert that is still sent."""
REST = 0.2
"""Seconds between two steps of a walk that nobody waits for."""


async def restart_held(pool: Pool, after: int) -> int:
    """Have a workflow started for each release of the next held files that has none, and leave running ones alone.

    Returns the file after which the next step continues, or 0 at the end.
    """
    async with pool.acquire() as connection, connection.transaction():
        held = await select_held_files(connection, after, WALKED)
        await _insert(connection, held, wake=False)
    return held[-1].id if len(held) == WALKED else 0


async def keep_waking_unchecked(pool: Pool) -> None:
    """Wake the workflows of held releases that some known check has not seen, as after an upgrade. Has no end.

    It walks through all held files once, because checks become known only when a worker starts.
    """
    after = await wake_unchecked(pool, 0)
    while after:
        await asyncio.sleep(REST)
        after = await wake_unchecked(pool, after)
    await asyncio.Event().wait()


async def wake_unchecked(pool: Pool, after: int) -> int:
    """Wake the workflows of the next held files that some known check has not seen.

    Returns the file after which the next step continues, or 0 at the end.
    """
    async with pool.acquire() as connection, connection.transaction():
        held = await select_held_files(connection, after, WALKED)
        unchecked = await select_unchecked(connection, held)
        await _insert(connection, [file for file in held if file.id in unchecked], wake=True)
    return held[-1].id if len(held) == WALKED else 0


async def requeue_unsent_alerts(pool: Pool) -> int:
    """Have the alerts sent that the webhook has not accepted; return how many there are.

    They were raised before a webhook was configured, or it was unavailable for longer than sending is retried.
    """
    async with pool.acquire() as connection, connection.transaction():
        alerts = await select_unsent(connection, NEWS_FOR, WALKED)
        await insert_messages(connection, map(AlertRaised, alerts))
    return len(alerts)


async def _insert(connection: Connection, held: Iterable[HeldFile], *, wake: bool) -> None:
    """Write one message for each release. All who write many messages do it in the same order."""
    releases = sorted({file.release for file in held}, key="/".join)
    await insert_messages(connection, (ReleaseHeld(project, version, wake) for project, version in releases))
