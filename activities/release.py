"""Activities of a quarantine: store the files of a release, and settle it. One more finishes other downloads."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from temporalio import activity

from activities.execution import expected_errors, heartbeats
from activities.pages import LISTED, Release
from koschey.db import files
from koschey.db.pool import Pool
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
from koschey.model import FileId, State
from koschey.policy.advisories import Feed
from koschey.quarantine.settle import Settlement, note_failure, settle
from koschey.standards.names import parse_name

log = structlog.get_logger()

LOOK_AGAIN_IN = timedelta(minutes=5)
"""When a look at an upstream that did not answer is repeated."""
FETCHES = 20
"""Files that one worker fetches for quarantines at once."""
LASTING = (UpstreamMalformed, UpstreamMissing, EgressRefused)
"""What an upstream would say again if it were asked at once."""


@dataclass(frozen=True)
class ReleaseStatus:
    """How a release stands: ids and words only, for history is readable by everyone who reaches Temporal."""

    held_files: list[int]
    """The first of them."""
    unstored_files: list[int]
    """The first of them."""
    state: str
    reasons: list[str]
    release_at: datetime | None
    look_again_in: float | None
    """Seconds from now on; None where only a person can change anything."""
    held: int = 0
    """How many files are held in all."""
    unstored: int = 0
    """How many of them are not stored."""


@dataclass(frozen=True)
class StoreReport:
    """What became of files that were to be fetched."""

    stored: int
    failed: int
    """Of these it makes no sense to ask the upstream again soon."""


@dataclass(frozen=True)
class ReleaseActivities:
    """Fetches and settles through the same functions as every other door."""

    pool: Pool
    refresher: Refresher
    store: FileStore
    window: timedelta
    """How long a new file is held where no rule says otherwise."""
    feed: Feed | None = None
    """That there is a feed of advisories."""
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FETCHES))

    @activity.defn
    async def store_held_files(self, file_ids: list[int]) -> StoreReport:
        """Bring the bytes of files into the bucket. Once all were tried, raises what may pass by itself."""
        async with heartbeats():
            errors = [error for error in await asyncio.gather(*map(self._try_to_store, file_ids)) if error]
        for error in errors:
            if not isinstance(error, LASTING):
                with expected_errors():
                    raise error
        return StoreReport(len(file_ids) - len(errors), len(errors))

    async def _try_to_store(self, file_id: int) -> KoscheyError | None:
        """Store one file if it is still held; returns why that is not possible, and says so beside the file."""
        async with self.turns:
            item = await files.select_file(self.pool, FileId(file_id))
            if item is None or item.standing.state is not State.HELD:
                return None
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
    async def settle_release(self, release: Release) -> ReleaseStatus:
        """Apply the verdict to every file of a release, asking the upstream again where a window has ended.

        Where the upstream cannot be asked the release stays held, and the look is repeated later.
        """
        settlement = await self._settle(release)
        if settlement.needs_look:
            try:
                await self.refresher.look(parse_name(release.project))
            except (UpstreamError, EgressRefused, Busy) as error:
                log.warning("the second look has to wait", project=release.project, error=str(error))
                return _status(replace(settlement, look_again_in=LOOK_AGAIN_IN))
            settlement = await self._settle(release)
        return _status(settlement)

    async def _settle(self, release: Release) -> Settlement:
        async with self.pool.acquire() as connection:
            return await settle(connection, parse_name(release.project), release.version, self.window, self.feed)


@dataclass(frozen=True)
class FetchActivities:
    """Finishes downloads whose process died."""

    pool: Pool
    store: FileStore

    @activity.defn
    async def store_wanted_file(self, file_id: int) -> str:
        """Bring a file's bytes into the bucket, if the file still may be served or is held."""
        item = await files.select_file(self.pool, FileId(file_id))
        if item is None or item.standing.state not in (State.RELEASED, State.HELD):
            return "not wanted any more"
        try:
            with expected_errors((UpstreamUnavailable, StoreUnavailable, Busy)):
                async with heartbeats():
                    stored = await self.store.store(item.file)
        except (UpstreamMalformed, UpstreamMissing) as error:
            # The next client that asks will be told; there is nobody here to tell.
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
        look_again_in=settlement.look_again_in.total_seconds() if settlement.look_again_in else None,
        held=len(settlement.held),
        unstored=len(unstored),
    )


def _shortened(reasons: Sequence[str]) -> list[str]:
    return [reason[:200] for reason in reasons[:5]]
