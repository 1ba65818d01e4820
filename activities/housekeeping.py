"""The steps of keeping house: rules that have ended, held releases whose workflow is gone, downloads of long ago."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from koschey.db.pool import Pool
from koschey.governance.expiry import expire_rules
from koschey.governance.retention import forget_downloads
from koschey.quarantine.sweep import FIRST, restart_held
from koschey.standards.names import parse_name


@dataclass(frozen=True)
class Place:
    """The release after which the walk through all that is held goes on."""

    project: str = ""
    version: str = ""


@dataclass(frozen=True)
class HousekeepingActivities:
    """Decides nothing about a file: what is served is the same whether these steps were done or not."""

    pool: Pool
    downloads_kept: timedelta | None
    """How long it is known who took a file; None: for ever."""

    @activity.defn
    async def end_rules(self) -> int:
        """Write down which rules have ended; returns how many."""
        async with self.pool.acquire() as connection:
            return await expire_rules(connection)

    @activity.defn
    async def restart_held_releases(self, place: Place) -> Place | None:
        """Start the workflow of the next held releases where it is gone; returns where to go on, None at the end."""
        after = (parse_name(place.project) if place.project else FIRST[0], place.version)
        last = await restart_held(self.pool, after)
        return Place(*last) if last else None

    @activity.defn
    async def forget_downloads(self) -> int:
        """Forget who took files long ago, where the operator wants that; returns how many downloads."""
        if self.downloads_kept is None:
            return 0
        async with self.pool.acquire() as connection:
            return await forget_downloads(connection, self.downloads_kept)
