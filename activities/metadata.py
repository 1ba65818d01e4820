"""The activity that reads core metadata from the next few wheels of a project."""

from dataclasses import dataclass

from temporalio import activity

from activities.execution import expected_errors, heartbeats
from koschey.mirror.metadata_extraction import Extractor
from koschey.standards.names import parse_name


@dataclass(frozen=True)
class MetadataActivities:
    """Reads METADATA from wheels."""

    extractor: Extractor

    @activity.defn
    async def describe_wheels(self, project: str) -> bool:
        """Read METADATA of the next wheels of a project; return whether there may be more."""
        with expected_errors():
            async with heartbeats():
                return await self.extractor.describe(parse_name(project))
