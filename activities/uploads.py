"""The step of keeping house that deletes what uploads have left in the bucket."""

from dataclasses import dataclass

from temporalio import activity

from koschey.db.pool import Pool
from koschey.hosting.pending_uploads import sweep_uploads
from koschey.storage.spooled import UploadStore


@dataclass(frozen=True)
class UploadActivities:
    """Deletes only objects to which nothing refers."""

    pool: Pool
    store: UploadStore

    @activity.defn
    async def sweep_uploads(self) -> int:
        """Delete the objects of uploads whose process died before their rows; returns how many uploads."""
        return await sweep_uploads(self.pool, self.store)
