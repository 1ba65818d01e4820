"""What nobody else would notice: held releases whose workflow is gone, or has never heard of a check."""

from packaging.utils import NormalizedName

from koschey.db.outbox import insert_message
from koschey.db.pool import Pool
from koschey.db.waiting import Release, select_held_releases, select_unchecked_releases
from koschey.outbox import ReleaseHeld

WALKED = 1_000
"""Releases of one step."""
FIRST: Release = (NormalizedName(""), "")


async def restart_held(pool: Pool, after: Release) -> Release | None:
    """Have a workflow started for each of the next held releases that has none; the others are not disturbed.

    Returns the release after which to go on, or None at the end.
    """
    async with pool.acquire() as connection, connection.transaction():
        releases = await select_held_releases(connection, after, WALKED)
        for project, version in releases:
            await insert_message(connection, ReleaseHeld(project, version, wake=False))
    return releases[-1] if len(releases) == WALKED else None


async def wake_unchecked(pool: Pool) -> int:
    """Wake the workflows of held releases that some known check has not seen, as after an upgrade; returns how many."""
    async with pool.acquire() as connection, connection.transaction():
        releases = await select_unchecked_releases(connection, WALKED)
        for project, version in releases:
            await insert_message(connection, ReleaseHeld(project, version))
    return len(releases)
