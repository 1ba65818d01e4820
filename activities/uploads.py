"""The housekeeping step that deletes the objects of unfinished uploads from the bucket."""

from dataclasses import dataclass

from temporalio import activity

from koschey.db.pool import Pool
from koschey.hosting.pending_uploads import sweep_uploads
from koschey.storage.spooled import UploadStore


@dataclass(frozen=True)
class UploadActivities:
    """Deletes objects to which no row refers, and no others."""

    pool: Pool
    store: UploadStore

    @activity.defn
    async def sweep_uploads(self) -> int:
        """Delete the objects of uploads whose process died before it wrote their rows; return the number of uploads."""
        return await sweep_uploads(self.pool, self.store)
