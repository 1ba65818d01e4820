"""Finds what no event would trigger: held releases without a workflow or an outcome of a check, and unsent alerts."""

from datetime import timedelta

from packaging.utils import NormalizedName

from koschey.db.alerts import select_unsent
from koschey.db.outbox import insert_message
from koschey.db.pool import Pool
from koschey.db.waiting import Release, select_held_releases, select_unchecked_releases
from koschey.outbox import AlertRaised, ReleaseHeld

WALKED = 1_000
"""Maximum number of releases, or of alerts, in one step."""
NEWS_FOR = timedelta(days=7)
"""Maximum age of an alert that is still sent."""
FIRST: Release = (NormalizedName(""), "")


async def restart_held(pool: Pool, after: Release) -> Release | None:
    """Have a workflow started for each of the next held releases that has none, and leave running ones alone.

    Returns the release after which the next step continues, or None at the end.
    """
    async with pool.acquire() as connection, connection.transaction():
        releases = await select_held_releases(connection, after, WALKED)
        for project, version in releases:
            await insert_message(connection, ReleaseHeld(project, version, wake=False))
    return releases[-1] if len(releases) == WALKED else None


async def wake_unchecked(pool: Pool) -> int:
    """Wake the workflows of held releases that some known check has not seen, as after an upgrade; return how many."""
    async with pool.acquire() as connection, connection.transaction():
        releases = await select_unchecked_releases(connection, WALKED)
        for project, version in releases:
            await insert_message(connection, ReleaseHeld(project, version))
    return len(releases)


async def requeue_unsent_alerts(pool: Pool) -> int:
    """Have the alerts sent that the webhook has not accepted; return how many there are.

    They were raised before a webhook was configured, or it was unavailable for longer than sending is retried.
    """
    async with pool.acquire() as connection, connection.transaction():
        alerts = await select_unsent(connection, NEWS_FOR, WALKED)
        for alert in alerts:
            await insert_message(connection, AlertRaised(alert))
    return len(alerts)
