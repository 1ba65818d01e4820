"""The activities that attach provenance to a release: they list its files, and attach to one file at a time."""

from dataclasses import dataclass

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.execution import heartbeats
from activities.pages import LISTED, FilePage, Release
from koschey.db import files
from koschey.db.attestations import select_stored_ids
from koschey.db.pool import Pool
from koschey.db.waiting import select_unattested_ids
from koschey.errors import EgressRefused, KoscheyError, UpstreamMalformed, UpstreamMissing
from koschey.mirror.attestations import ProvenanceStore
from koschey.model import FileId, State
from koschey.standards.names import parse_name

log = structlog.get_logger()

PATIENCE = 3
"""Number of files without an answer after which the upstream counts as unavailable."""


@dataclass(frozen=True)
class FileToAttest:
    """A file, and whether to download and verify again what is stored already."""

    file_id: int
    again: bool


@dataclass(frozen=True)
class AttachReport:
    """The result for one page of files."""

    last: int | None
    """The id after which the next page begins; None if this was the last page."""
    unanswered: int


@dataclass(frozen=True)
class ProvenanceActivities:
    """Writes provenance records (PEP 710) and downloads provenance objects (PEP 740)."""

    pool: Pool
    store: ProvenanceStore

    @activity.defn
    async def list_stored_files(self, release: Release) -> list[int]:
        """Return the ids of a release's stored files."""
        return [int(file) for file in await select_stored_ids(self.pool, parse_name(release.project), release.version)]

    @activity.defn
    async def attach_provenance(self, wanted: FileToAttest) -> str:
        """Make sure that a file has its record and its object; return the verdict, or why there is none."""
        item = await files.select_file(self.pool, FileId(wanted.file_id))
        if item is None or item.standing.state is State.REMOVED:
            return "no longer wanted"
        try:
            await self.store.ensure_record(item.file)
            return await self.store.attach(item.file.id, again=wanted.again) or "none listed"
        except (UpstreamMalformed, UpstreamMissing, EgressRefused) as error:
            # A repeated request would get the same answer; what was stored before stays.
            return f"not fetched: {error}"
        except KoscheyError as error:
            kind = type(error).__name__
            raise ApplicationError(str(error), type=kind, category=ApplicationErrorCategory.BENIGN) from None

    @activity.defn
    async def attach_release(self, page: FilePage) -> AttachReport:
        """Download the objects of stored files that lack one, until the upstream counts as unavailable."""
        project = parse_name(page.project)
        ids = await select_unattested_ids(self.pool, project, page.version, page.after, LISTED)
        unanswered = 0
        async with heartbeats():
            for done, file in enumerate(ids):
                if unanswered == PATIENCE:
                    return AttachReport(None, len(ids) - done + unanswered)
                try:
                    await self.store.attach(file)
                except (UpstreamMalformed, UpstreamMissing, EgressRefused) as error:
                    log.info("no provenance", file=file, error=str(error))
                except KoscheyError as error:
                    log.warning(
                        "provenance could not be fetched, and will be requested again", file=file, error=str(error)
                    )
                    unanswered += 1
        return AttachReport(int(ids[-1]) if len(ids) == LISTED else None, unanswered)
