"""The steps of housekeeping: note expired rules, restart lost quarantines, delete old download records."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from koschey.db.pool import Pool
from koschey.governance.expiry import expire_rules
from koschey.governance.retention import forget_downloads
from koschey.quarantine.sweep import FIRST, restart_held
from koschey.standards.names import parse_name


@dataclass(frozen=True)
class ReleasePosition:
    """The release after which the walk through all held releases continues."""

    project: str = ""
    version: str = ""


@dataclass(frozen=True)
class HousekeepingActivities:
    """The housekeeping steps. They decide nothing: what is served does not depend on whether they have run."""

    pool: Pool
    downloads_kept: timedelta | None
    """How long Koschey keeps the record of who downloaded a file; None keeps it permanently."""

    @activity.defn
    async def end_rules(self) -> int:
        """Record which rules have expired; return their number."""
        async with self.pool.acquire() as connection:
            return await expire_rules(connection)

    @activity.defn
    async def restart_held_releases(self, place: ReleasePosition) -> ReleasePosition | None:
        """Start the workflow of the next held releases that have none.

        Returns the place at which to continue, or None at the end.
        """
        after = (parse_name(place.project) if place.project else FIRST[0], place.version)
        last = await restart_held(self.pool, after)
        return ReleasePosition(*last) if last else None

    @activity.defn
    async def forget_downloads(self) -> int:
        """Delete old download records if the operator has set a limit; return the number of deleted records."""
        if self.downloads_kept is None:
            return 0
        async with self.pool.acquire() as connection:
            return await forget_downloads(connection, self.downloads_kept)
