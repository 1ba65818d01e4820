"""Applies an upstream's page to the rows of its project, in portions of one transaction each.

The intake plans as much as it can before the first transaction. Under the lock on the project, each portion reads its
own files again, because other processes may have changed them since.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import structlog
from packaging.utils import NormalizedName

from koschey.db import advisories, files, projects
from koschey.db.files import Listing
from koschey.db.journal import Entry
from koschey.db.left_out import replace_left_out
from koschey.db.outbox import insert_messages
from koschey.db.pool import PASSING, Connection, Pool
from koschey.db.record import Record
from koschey.events import Event
from koschey.mirror import news
from koschey.mirror.new_files import Additions
from koschey.mirror.news import AbsenceJudge, ProjectReturn
from koschey.mirror.portions import Portion, PortionTransaction, conflicts, divide, listing_changed, page_changed
from koschey.model import (
    SYSTEM,
    Origin,
    Project,
    ProjectStatus,
    StandingFile,
    UpstreamFile,
    UpstreamPage,
)
from koschey.outbox import ProvenanceWanted
from koschey.policy.absence import USUALLY, next_absence
from koschey.policy.advisories import Feed
from koschey.policy.news import is_estranged, is_unchanged

log = structlog.get_logger()

WRITERS = 3
"""Portions that one process writes at once; more would only wait for the journal, each with a connection."""
TRIES = 5
"""Maximum number of attempts to write one portion while other writers interfere."""
RETRY_PAUSE = 1.0
"""Maximum number of seconds between two attempts."""
PLAN_IN_THREAD = 2000
"""Number of files above which a page is compared with the rows in a thread, so that other requests continue."""


@dataclass(slots=True)
class PageIntake:
    """Brings mirrored projects' rows up to date with pages. One per process."""

    pool: Pool
    window: timedelta
    """How long a new file is held if no rule says otherwise."""
    feed: Feed | None = None
    """The advisory feed and its maximum age; None if no feed is configured."""
    confirmed_after: Sequence[timedelta] = USUALLY
    """The times after which further refreshes confirm an absence, counted from the first one."""
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITERS))

    async def apply_page(self, name: NormalizedName, page: UpstreamPage, read_at: datetime) -> None:
        """Apply a page that was requested at `read_at`. Does nothing to a hosted project.

        A portion that is written stays. Only the last portion records that the page was read: if a portion cannot be
        written, the refresh does not count, and the next refresh applies the rest.
        """
        project, known = await self._known(name)
        if project is not None and project.origin is not Origin.MIRRORED:
            return
        work = partial(_plan, name, page, read_at, project, known, self.confirmed_after)
        intake = await asyncio.to_thread(work) if len(page.files) + len(known) > PLAN_IN_THREAD else work()
        for portion in intake.portions:
            await self._write(intake, portion)

    async def _known(self, name: NormalizedName) -> tuple[Project | None, dict[str, StandingFile]]:
        """Return the project and its files as they are before the intake."""
        async with (
            self.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            project = await projects.select_project(connection, name)
            if project is None:
                return None, {}
            known = files.stream_project_files(connection, name)
            return project, {item.file.filename: item async for item in known}

    async def _write(self, intake: "_Plan", portion: Portion) -> None:
        """Write one portion; retry if another writer interferes."""
        for left in reversed(range(TRIES)):
            try:
                async with self._turns, self.pool.acquire() as connection, connection.transaction():
                    await self._write_once(connection, intake, portion)
                return
            except PASSING as error:
                if not left:
                    raise
                log.info("a portion of a page is written again", project=intake.name, error=repr(error))
            await asyncio.sleep(random.uniform(0, RETRY_PAUSE))  # noqa: S311 - random, so that two writers do not meet again

    async def _write_once(self, connection: Connection, intake: "_Plan", portion: Portion) -> None:
        created = await projects.insert_project(connection, intake.name, intake.name, Origin.MIRRORED)
        project = await projects.lock_project(connection, intake.name)
        assert project is not None
        if project.origin is not Origin.MIRRORED:
            return
        record = Record(connection, SYSTEM, intake.name)
        transaction = PortionTransaction(connection, project, await projects.select_now(connection), record)
        # A project that was just created has no files.
        named = await files.select_files_named(connection, project.id, [] if created else portion.filenames)
        known = {item.file.filename: item for item in named}
        await _Changes(transaction, intake, portion, known, self.window, self.feed).make()
        if created:
            await advisories.update_applied(connection, intake.name)
            if record.is_empty:
                record.add(Event.CREATE_PROJECT, [Entry()])
        await record.write()


@dataclass(frozen=True, slots=True)
class _Plan:
    """The plan that an intake makes before its first transaction."""

    name: NormalizedName
    page: UpstreamPage
    read_at: datetime
    known: Mapping[str, StandingFile]
    portions: Sequence[Portion]
    missing: AbsenceJudge
    returned: ProjectReturn


def _plan(
    name: NormalizedName,
    page: UpstreamPage,
    read_at: datetime,
    project: Project | None,
    known: Mapping[str, StandingFile],
    after: Sequence[timedelta],
) -> _Plan:
    absence, returned = None, ProjectReturn()
    if project is not None and page.is_empty and known:
        absence = next_absence(project.absence, read_at, after)
        # A missing page does not state a status, and must not end a quarantine.
        page = replace(page, status=project.status, status_reason=project.status_reason)
    elif project is not None:
        returned = _return_of(project, page, known)
    portions = divide(page, known, read_at, absence)
    return _Plan(name, page, read_at, known, portions, AbsenceJudge(read_at, after, absence), returned)


def _return_of(project: Project, page: UpstreamPage, known: Mapping[str, StandingFile]) -> ProjectReturn:
    listed, is_open = {file.filename for file in page.files}, page.status is not ProjectStatus.QUARANTINED
    estranged = is_open and is_estranged(known.values(), listed, project.status)
    unchanged = all(file.filename in known and is_unchanged(known[file.filename].file, file) for file in page.files)
    return ProjectReturn(project.absence is not None, estranged, is_open and (unchanged or not estranged))


@dataclass(frozen=True, slots=True)
class _Changes:
    """The steps that apply one portion within its transaction."""

    transaction: PortionTransaction
    intake: _Plan
    portion: Portion
    known: Mapping[str, StandingFile]
    """Those of its files that have a row now, including rows that another process has just added."""
    window: timedelta
    feed: Feed | None

    @property
    def connection(self) -> Connection:
        return self.transaction.connection

    async def make(self) -> None:
        """Apply all changes of the portion."""
        listed, how = (*self.portion.listed, *self.portion.new), self.intake.missing
        missing = [self.known[name] for name in self.portion.missing if name in self.known]
        await news.record_missing(self.transaction, missing, how)
        if self.portion.is_first:
            names = (name for portion in self.intake.portions for name in portion.missing)
            await news.alert_missing(self.transaction, [self.intake.known[name] for name in names], how)
            if how.page is None:
                await news.end_absent_page(self.transaction)
        await self._follow([(self.known[file.filename], file) for file in listed if file.filename in self.known])
        additions = Additions(self.transaction, self.intake.known.values(), self.window, self.feed)
        new = [file for file in listed if file.filename not in self.known]
        await additions.add(new, returned=self.intake.returned.estranged)
        await self._record_refresh()

    async def _follow(self, listed: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
        """Update what may change in existing files. Other bytes under an existing filename are a conflict.

        An upload time never changes: the first claimed time counts, or the time when Koschey first saw the file.
        """
        same = [(known, file) for known, file in listed if not conflicts(known, file)]
        moved = [(known, file) for known, file in same if listing_changed(known, file)]
        if moved:
            listings = [
                Listing(known.file.id, file.yanked, file.core_metadata, file.url, file.provenance_url)
                for known, file in moved
            ]
            await files.update_listings(self.connection, listings)
            await self._want_provenance(moved)
        if visible := [(known, file) for known, file in moved if page_changed(known, file)]:
            entries = [Entry(known.file.version, known.file.filename, _seen(file)) for known, file in visible]
            self.transaction.record.add(Event.UPDATE_FILE, entries)
        back = [(known, file) for known, file in same if known.file.absence]
        await news.relist(self.transaction, back, self.intake.returned)
        await news.refuse_other_bytes(
            self.transaction, [(known, file) for known, file in listed if conflicts(known, file)]
        )

    async def _want_provenance(self, moved: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
        """Request the provenance objects that the upstream has begun to list.

        If a file is not stored yet, its provenance is requested when it is stored.
        """
        proved = {
            known.file.version for known, file in moved if known.file.stored_at and _gained_provenance(known, file)
        }
        name = self.transaction.project.name
        await insert_messages(self.connection, [ProvenanceWanted(name, version) for version in sorted(proved)])

    async def _record_refresh(self) -> None:
        """Record the refresh, a change of the project's status (PEP 792), and that the project came back."""
        project, page = self.transaction.project, self.intake.page
        # If a page changes nothing, the return was reported before.
        if self.portion.is_first and self.intake.returned.estranged and not self.transaction.record.is_empty:
            news.alert_return(self.transaction, page)
        if self.portion.is_last:
            if self.intake.missing.page:
                await news.note_absent_page(self.transaction, self.intake.missing.page)
            if project.left_out or page.left_out_count:
                await replace_left_out(self.connection, project.id, page)
            await projects.update_refreshed(self.connection, project.id, page, self.intake.read_at)
            if (page.status, page.status_reason) != (project.status, project.status_reason):
                news.record_status_change(self.transaction, page)


def _seen(file: UpstreamFile) -> dict[str, object]:
    return {"yanked": file.yanked, "core_metadata": file.core_metadata, "provenance": file.provenance_url}


def _gained_provenance(known: StandingFile, file: UpstreamFile) -> bool:
    return file.provenance_url not in (None, known.file.provenance_url)
