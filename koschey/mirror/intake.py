"""Applies an upstream's page to the rows of its project, in portions of one transaction each.

The intake plans as much as it can before the first transaction. Under the lock on the project, each portion reads its
own files again, because other processes may have changed them since.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import structlog
from packaging.utils import NormalizedName

from koschey.db import files, refreshes
from koschey.db.files import Listing
from koschey.db.first_pages import written_file
from koschey.db.journal import Entry
from koschey.db.leases import Lease
from koschey.db.left_out import replace_left_out
from koschey.db.news import insert_returned
from koschey.db.outbox import insert_messages
from koschey.db.pool import PASSING, Connection, Pool
from koschey.db.project_views import ProjectView
from koschey.db.record import Record
from koschey.db.refreshes import Facts, LockedProject, Refresh
from koschey.events import Event
from koschey.mirror import news
from koschey.mirror.first_page import FirstPages, Part, Sight, join_parts
from koschey.mirror.new_files import Additions, NewRows
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

    async def apply_page(self, name: NormalizedName, page: UpstreamPage, view: ProjectView, lease: Lease) -> "Applied":
        """Apply a page that was requested under a lease. Does nothing to a hosted project.

        `view` is the project before the intake, at the time of the request. A portion that is written stays. Only the
        last portion records that the page was read: if a portion cannot be written, the refresh does not count, and
        the next refresh applies the rest.
        """
        project, read_at = view.project, view.now
        if project is not None and project.origin is not Origin.MIRRORED:
            return Applied(project)
        if sight := await FirstPages(self.pool, self.window, self.feed).write(name, page, view, lease):
            return Applied(sight.view.project, is_released=True, sight=sight)
        known = await self._known(project)
        intake = await _in_thread_if(
            len(page.files) + len(known) > PLAN_IN_THREAD,
            partial(_plan, name, page, Refresh(page, read_at, lease), project, known, self.confirmed_after),
        )
        after, parts = project, list[Part]()
        for portion in intake.portions:
            parts.append(await self._write(intake, portion))
            after = parts[-1].after
        is_released = after is not None and after.origin is Origin.MIRRORED
        return Applied(after, is_released=is_released, sight=join_parts(parts))

    async def _known(self, project: Project | None) -> Mapping[str, StandingFile]:
        """Return the project's files as they are before the intake."""
        if project is None:
            return {}
        rows = await files.select_project_rows(self.pool, project.name)
        return await _in_thread_if(len(rows) > PLAN_IN_THREAD, partial(_by_name, rows))

    async def _write(self, intake: "_Plan", portion: Portion) -> Part:
        """Write one portion; retry if another writer interferes. Returns what it wrote."""
        for left in reversed(range(TRIES)):
            try:
                async with self._turns, self.pool.acquire() as connection, connection.transaction():
                    return await self._write_once(connection, intake, portion)
            except PASSING as error:
                if not left:
                    raise
                log.info("a portion of a page is written again", project=intake.name, error=repr(error))
            await asyncio.sleep(random.uniform(0, RETRY_PAUSE))  # noqa: S311 - random, so that two writers do not meet again
        raise AssertionError("the last attempt returns or raises")

    async def _write_once(self, connection: Connection, intake: "_Plan", portion: Portion) -> Part:
        begun = time.monotonic()
        created, locked, facts = await _begin(connection, intake, portion)
        project = locked.project
        if project.origin is not Origin.MIRRORED:
            return Part(project)
        record = Record(connection, SYSTEM, intake.name)
        transaction = PortionTransaction(connection, project, locked.now, record, portion, facts)
        known = await _existing(transaction)
        after, added = await _Changes(transaction, intake, portion, known, self.window, self.feed).make()
        if created and record.is_empty:
            record.add(Event.CREATE_PROJECT, [Entry()])
        serial = await record.write()
        after = replace(after, serial=serial) if serial else after
        if not intake.is_new:
            return Part(after)
        view = ProjectView(after, (await transaction.policy()).rules, locked.now)
        return Part(after, Sight(begun, view, added), None if created else project.serial)


class Applied(NamedTuple):
    """What an intake did."""

    project: Project | None
    """The project after it."""
    is_released: bool = False
    """Whether the last transaction has released the lease."""
    sight: Sight | None = None
    """The project as the transactions wrote it, if they added it, and if no other writer has changed it meanwhile."""


async def _begin(connection: Connection, intake: "_Plan", portion: Portion) -> tuple[bool, LockedProject, Facts | None]:
    """Add the project or lock it; returns whether it was added, and in that case the facts too."""
    if intake.is_new and portion.is_first:
        created = await refreshes.insert_project(connection, intake.name, portion.paths)
        if created is not None:
            return True, *created
    locked = await refreshes.lock_project(connection, intake.name)
    assert locked is not None
    return False, locked, None


async def _existing(transaction: PortionTransaction) -> dict[str, StandingFile]:
    """Return those of the portion's files that have a row now."""
    portion, project = transaction.portion, transaction.project
    if not portion.filenames or not (await transaction.facts()).existing:
        return {}
    named = await files.select_files_named(transaction.connection, project.id, portion.filenames)
    return {item.file.filename: item for item in named}


async def _in_thread_if[T](is_long: bool, work: Callable[[], T]) -> T:
    """Do work in a thread if it takes long, so that other requests continue."""
    return await asyncio.to_thread(work) if is_long else work()


def _by_name(rows: Sequence[Any]) -> dict[str, StandingFile]:
    return {item.file.filename: item for item in map(files.read_file, rows)}


@dataclass(frozen=True, slots=True)
class _Plan:
    """The plan that an intake makes before its first transaction."""

    name: NormalizedName
    page: UpstreamPage
    refresh: Refresh
    is_new: bool
    """Whether the project was not in the database."""
    known: Mapping[str, StandingFile]
    portions: Sequence[Portion]
    missing: AbsenceJudge
    returned: ProjectReturn


def _plan(
    name: NormalizedName,
    page: UpstreamPage,
    refresh: Refresh,
    project: Project | None,
    known: Mapping[str, StandingFile],
    after: Sequence[timedelta],
) -> _Plan:
    absence, returned, read_at = None, ProjectReturn(), refresh.read_at
    if project is not None and page.is_empty and known:
        absence = next_absence(project.absence, read_at, after)
        # A missing page does not state a status, and must not end a quarantine.
        page = replace(page, status=project.status, status_reason=project.status_reason)
    elif project is not None:
        returned = _return_of(project, page, known)
    portions = divide(page, known, read_at, absence)
    judge = AbsenceJudge(read_at, after, absence)
    return _Plan(name, page, replace(refresh, page=page), project is None, known, portions, judge, returned)


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

    async def make(self) -> tuple[Project, Sequence[StandingFile]]:
        """Apply all changes of the portion, except for the journal. Returns the project after them, and new files."""
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
        rows = await additions.judge(new, returned=self.intake.returned.estranged)
        await self._record_refresh()
        return await self._write_new(rows)

    async def _write_new(self, rows: NewRows) -> tuple[Project, Sequence[StandingFile]]:
        """Write the new files, and the end of the refresh. Returns files only if the project is new."""
        project, ends, now = self.transaction.project, self.portion.is_last, self.transaction.now
        if not rows.files and not ends:
            return project, ()
        refresh = self.intake.refresh if ends else None
        ids, after = await refreshes.write_portion(self.connection, project.id, rows.files, rows.messages, refresh)
        if rows.review:
            await insert_returned(self.connection, ids, rows.review.reason)
        pairs = zip(rows.files, ids, strict=True) if self.intake.is_new else ()
        return after or project, [written_file(project.name, row, number, now, now) for row, number in pairs]

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
            news.record_status_change(self.transaction, page)


def _seen(file: UpstreamFile) -> dict[str, object]:
    return {"yanked": file.yanked, "core_metadata": file.core_metadata, "provenance": file.provenance_url}


def _gained_provenance(known: StandingFile, file: UpstreamFile) -> bool:
    return file.provenance_url not in (None, known.file.provenance_url)
