"""The steps of a release's quarantine."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from koschey.db import files
from koschey.db.pool import Pool
from koschey.db.waiting import select_unstored_ids
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
from koschey.index.files import FileStore
from koschey.index.refresh import Refresher
from koschey.model import FileId, State
from koschey.policy.advisories import Feed
from koschey.publish.settle import Settlement, note_failure, settle
from koschey.standards.names import parse_name

log = structlog.get_logger()

LOOK_AGAIN_IN = timedelta(minutes=5)
"""When a look at an upstream that did not answer is repeated."""
LISTED = 200
"""Ids that one answer names at the most: history is no place for those of ten thousand files."""
HEARTBEAT = 5.0
"""Seconds between signs of life of a long activity; `workflows.options` waits for four of them."""


@dataclass(frozen=True)
class Release:
    """Which release."""

    project: str
    version: str


@dataclass(frozen=True)
class Page:
    """The files of a release whose ids come after one, `LISTED` at the most."""

    project: str
    version: str
    after: int = 0


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
    """How many files wait in all; 0.1.0 named every one of them instead."""
    unstored: int = 0


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

    @activity.defn
    async def list_unstored_files(self, page: Page) -> list[int]:
        """Return held files whose bytes are not here yet."""
        project = parse_name(page.project)
        return [int(file) for file in await select_unstored_ids(self.pool, project, page.version, page.after, LISTED)]

    @activity.defn
    async def store_held_file(self, file_id: int) -> str:
        """Bring a file's bytes into the bucket; returns its sha256."""
        item = await files.select_file(self.pool, FileId(file_id))
        if item is None:
            raise ApplicationError(f"there is no file {file_id}", non_retryable=True)
        if item.standing.state is not State.HELD:
            return "not wanted any more"
        with expected_errors():
            try:
                async with heartbeats():
                    stored = await self.store.store(item.file)
            except UpstreamError as error:
                async with self.pool.acquire() as connection:
                    await note_failure(connection, item, str(error))
                raise
        return stored.sha256 or ""

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


@contextmanager
def expected_errors(kinds: tuple[type[KoscheyError], ...] = (KoscheyError,)) -> Iterator[None]:
    """Tell Temporal of an error that belongs to the trade: by its name and words, for a retry, without a traceback."""
    try:
        yield
    except kinds as error:
        kind = type(error).__name__
        raise ApplicationError(str(error), type=kind, category=ApplicationErrorCategory.BENIGN) from None


@asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Tell Temporal that the activity lives, so that a dead worker is noticed long before the timeout."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()


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
