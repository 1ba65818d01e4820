"""Activities of a quarantine: store the files of a release, and settle it. Another finishes client downloads."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from temporalio import activity

from activities.description import SHOWN, ReleaseDescription, describe
from activities.execution import expected_errors, heartbeats
from activities.pages import LISTED, Release
from koschey.db import files
from koschey.db.pool import Pool
from koschey.db.requests import select_release_requests
from koschey.errors import (
    Busy,
    EgressRefused,
    KoscheyError,
    StoreUnavailable,
    UpstreamError,
    UpstreamMalformed,
    UpstreamMissing,
    UpstreamUnavailable,
)
from koschey.mirror.file_store import FileStore
from koschey.mirror.refresh import Refresher
from koschey.model import FileId, StandingFile, State
from koschey.policy.advisories import Feed
from koschey.quarantine.settle import Settlement, note_failure, settle
from koschey.standards.names import parse_name

log = structlog.get_logger()

LOOK_AGAIN_IN = timedelta(minutes=5)
"""Time until a refresh is repeated after the upstream has not answered."""
FETCHES = 20
"""Maximum number of files that one worker downloads for quarantines at once."""
LASTING = (UpstreamMalformed, UpstreamMissing, EgressRefused)
"""Errors that an immediate retry would get again from the upstream."""


@dataclass(frozen=True)
class ReleaseStatus:
    """The state of a release. It has only ids and a few words: everyone who reaches Temporal can read its history."""

    held_files: list[int]
    """The ids of the first `LISTED` held files."""
    unstored_files: list[int]
    """The ids of the first `LISTED` held files that are not stored."""
    state: str
    reasons: list[str]
    release_at: datetime | None
    look_again_in: float | None
    """Seconds from now; None if only a person can change anything."""
    held: int = 0
    """Number of all held files."""
    unstored: int = 0
    """Number of held files that are not stored."""


@dataclass(frozen=True)
class SettledRelease:
    """A release that was just settled."""

    status: ReleaseStatus
    described: ReleaseDescription
    """The summary for reviewers, from the same rows."""
    needs_refresh: bool = False
    """Whether files are held only because the upstream's page must be refreshed first."""


@dataclass(frozen=True)
class StoreReport:
    """How many files were stored, and how many were not."""

    stored: int
    failed: int
    """Number of files whose download failed and is not worth an early retry."""


@dataclass(frozen=True)
class ReleaseActivities:
    """Downloads and settles through the functions that the rest of Koschey uses."""

    pool: Pool
    refresher: Refresher
    store: FileStore
    window: timedelta
    """How long a new file is held if no rule says otherwise."""
    feed: Feed | None = None
    """How old a reading of the advisory feed may be; None if there is no feed."""
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FETCHES))

    @activity.defn
    async def store_held_files(self, file_ids: list[int]) -> StoreReport:
        """Store the bytes of files in the bucket. After it has tried all, raises an error that a retry may resolve."""
        async with heartbeats():
            held = await files.select_held_files(self.pool, [FileId(file) for file in file_ids])
            errors = [error for error in await asyncio.gather(*map(self._try_to_store, held)) if error]
        for error in errors:
            if not isinstance(error, LASTING):
                with expected_errors():
                    raise error
        return StoreReport(len(file_ids) - len(errors), len(errors))

    async def _try_to_store(self, item: StandingFile) -> KoscheyError | None:
        """Store one file; return the error, which is recorded unless it is `Busy`."""
        async with self.turns:
            try:
                await self.store.store(item.file)
            except Busy as error:
                return error
            except KoscheyError as error:
                async with self.pool.acquire() as connection:
                    await note_failure(connection, item, str(error))
                return error
        return None

    @activity.defn
    async def settle_release(self, release: Release) -> SettledRelease:
        """Apply the verdict to every file of a release, and describe the result."""
        return await self._describe(release, await self._settle(release))

    @activity.defn
    async def refresh_release(self, release: Release) -> SettledRelease:
        """Refresh the upstream's page, because a window has ended, and settle the release.

        If the upstream does not answer, the release stays held, and the refresh is repeated later.
        """
        try:
            await self.refresher.refresh(parse_name(release.project))
        except (UpstreamError, EgressRefused, Busy) as error:
            log.warning(
                "the refresh before settling failed, and will be repeated", project=release.project, error=str(error)
            )
            settlement = replace(await self._settle(release), recheck_in=LOOK_AGAIN_IN)
        else:
            settlement = await self._settle(release)
        return await self._describe(release, settlement)

    async def _settle(self, release: Release) -> Settlement:
        async with self.pool.acquire() as connection:
            return await settle(connection, parse_name(release.project), release.version, self.window, self.feed)

    async def _describe(self, release: Release, settlement: Settlement) -> SettledRelease:
        project = parse_name(release.project)
        asked = await select_release_requests(self.pool, project, release.version, SHOWN)
        return SettledRelease(_status(settlement), describe(settlement, *asked), settlement.needs_refresh)


@dataclass(frozen=True)
class FetchActivities:
    """Finishes client downloads whose process died."""

    pool: Pool
    store: FileStore

    @activity.defn
    async def store_wanted_file(self, file_id: int) -> str:
        """Store a file's bytes in the bucket, if the file is still released or held."""
        item = await files.select_file(self.pool, FileId(file_id))
        if item is None or item.standing.state not in (State.RELEASED, State.HELD):
            return "no longer wanted"
        try:
            with expected_errors((UpstreamUnavailable, StoreUnavailable, Busy)):
                async with heartbeats():
                    stored = await self.store.store(item.file)
        except (UpstreamMalformed, UpstreamMissing) as error:
            # The next client that requests the file receives the error; no client waits for it here.
            return f"not fetched: {error}"
        return stored.sha256 or ""


def _status(settlement: Settlement) -> ReleaseStatus:
    unstored = [int(file.id) for file in settlement.held if file.stored_at is None]
    return ReleaseStatus(
        held_files=[int(file.id) for file in settlement.held[:LISTED]],
        unstored_files=unstored[:LISTED],
        state=settlement.state,
        reasons=_shortened(settlement.reasons),
        release_at=settlement.release_at,
        look_again_in=settlement.recheck_in.total_seconds() if settlement.recheck_in else None,
        held=len(settlement.held),
        unstored=len(unstored),
    )


def _shortened(reasons: Sequence[str]) -> list[str]:
    return [reason[:200] for reason in reasons[:5]]
