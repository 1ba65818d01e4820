"""The steps of keeping house: rules that have ended, and held releases whose workflow is gone."""

from dataclasses import dataclass

from temporalio import activity

from koschey.db.pool import Pool
from koschey.publish.expire import expire_rules
from koschey.publish.sweep import FIRST, restart_held
from koschey.standards.names import parse_name


@dataclass(frozen=True)
class Place:
    """The release after which the walk through all that is held goes on."""

    project: str = ""
    version: str = ""


@dataclass(frozen=True)
class HousekeepingActivities:
    """Does nothing that a request or a workflow would not find done or undone by itself."""

    pool: Pool

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
