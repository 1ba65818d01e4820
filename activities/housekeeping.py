"""The steps of housekeeping: note expired rules, restart lost quarantines, delete old download records."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from koschey.db.pool import Pool
from koschey.governance.expiry import expire_rules
from koschey.governance.retention import forget_downloads
from koschey.quarantine.sweep import restart_held


@dataclass(frozen=True)
class ReleasePosition:
    """The file after which the walk through all held files continues."""

    file: int = 0


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
        """Start the workflows of the releases of the next held files that have none.

        Returns the place at which to continue, or None at the end.
        """
        last = await restart_held(self.pool, place.file)
        return ReleasePosition(last) if last else None

    @activity.defn
    async def forget_downloads(self) -> int:
        """Delete old download records if the operator has set a limit; return the number of deleted records."""
        if self.downloads_kept is None:
            return 0
        async with self.pool.acquire() as connection:
            return await forget_downloads(connection, self.downloads_kept)
