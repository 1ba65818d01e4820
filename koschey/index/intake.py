"""What one look at an upstream's page changes here: in portions, each in a transaction of its own.

All that can be known beforehand is known before the first transaction; what other processes may change meanwhile is
read again under the lock on the project, for the files of the portion alone.
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
from koschey.db.files import Listing, NewFile
from koschey.db.journal import Entry
from koschey.db.news import insert_returned, select_is_estranged
from koschey.db.outbox import insert_messages
from koschey.db.pool import PASSING, Connection, Pool
from koschey.db.record import Record
from koschey.index import news
from koschey.index.portions import Portion, conflicts, divide, listing_changed, page_changed
from koschey.index.taking import Taking
from koschey.model import (
    SYSTEM,
    Origin,
    Project,
    ProjectStatus,
    Standing,
    StandingFile,
    State,
    UpstreamFile,
    UpstreamPage,
)
from koschey.outbox import Message, MetadataWanted, ProvenanceWanted, ReleaseHeld
from koschey.policy.admission import Admission, admit
from koschey.policy.advisories import ADVISORIES, Feed, feed_fault, reported
from koschey.policy.news import is_estranged
from koschey.policy.verdict import Policy
from koschey.standards.names import path_digest, public_path

log = structlog.get_logger()

WRITERS = 3
"""Portions that one process writes side by side; more would only wait for the journal, with a connection each."""
TRIES = 5
"""Of one portion, where other writers are in the way."""
REST = 1.0
"""Seconds between two tries at most."""
PLAN_IN_THREAD = 2000
"""Files above which a page is compared with the rows in a thread, so that other requests go on."""


@dataclass(slots=True)
class Intake:
    """Brings mirrored projects' rows up to date with pages. One per process."""

    pool: Pool
    window: timedelta
    """How long a new file is held where no rule says otherwise."""
    feed: Feed | None = None
    """That there is a feed with advisories, and how old what it said may be."""
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITERS))

    async def take_in(self, name: NormalizedName, page: UpstreamPage, read_at: datetime) -> None:
        """Take over what a page says that was asked for at `read_at`. Does nothing to a hosted project.

        Each portion is kept once it is written. Only the last one notes that the page was read: where one cannot be
        written, the look has not taken place, and the next one takes over what is left.
        """
        project, known = await self._known(name)
        if project is not None and project.origin is not Origin.MIRRORED:
            return
        work = partial(_plan, name, page, read_at, project, known)
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
        """Write one portion, once more where another writer was in the way."""
        for left in reversed(range(TRIES)):
            try:
                async with self._turns, self.pool.acquire() as connection, connection.transaction():
                    await self._write_once(connection, intake, portion)
                return
            except PASSING as error:
                if not left:
                    raise
                log.info("a portion of a page is written again", project=intake.name, error=repr(error))
            await asyncio.sleep(random.uniform(0, REST))  # noqa: S311 - so that two do not meet again

    async def _write_once(self, connection: Connection, intake: "_Plan", portion: Portion) -> None:
        created = await projects.insert_project(connection, intake.name, intake.name, Origin.MIRRORED)
        project = await projects.lock_project(connection, intake.name)
        assert project is not None
        if project.origin is not Origin.MIRRORED:
            return
        record = Record(connection, SYSTEM, intake.name)
        taking = Taking(connection, project, await projects.select_now(connection), record)
        # Of a project that was created just now there is no file.
        named = await files.select_files_named(connection, project.id, [] if created else portion.filenames)
        known = {item.file.filename: item for item in named}
        await _Changes(taking, intake, portion, known, self.window, self.feed).make()
        if created:
            await advisories.update_applied(connection, intake.name)
            if record.is_empty:
                record.add("create project", [Entry()])
        await record.write()


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that an intake knows before its first transaction."""

    name: NormalizedName
    page: UpstreamPage
    read_at: datetime
    known: Mapping[str, StandingFile]
    portions: Sequence[Portion]
    is_return: bool
    """Whether the project comes back with this page, perhaps in other hands."""


def _plan(
    name: NormalizedName,
    page: UpstreamPage,
    read_at: datetime,
    project: Project | None,
    known: Mapping[str, StandingFile],
) -> _Plan:
    listed, is_return = {file.filename for file in page.files}, False
    if project is not None and page.status is not ProjectStatus.QUARANTINED:
        is_return = is_estranged(known.values(), listed, project.status)
    return _Plan(name, page, read_at, known, divide(page, known), is_return)


@dataclass(frozen=True, slots=True)
class _Changes:
    """The steps of one portion."""

    taking: Taking
    intake: _Plan
    portion: Portion
    known: Mapping[str, StandingFile]
    """Those of its files that have a row now, also where another process has just added it."""
    window: timedelta
    feed: Feed | None

    @property
    def connection(self) -> Connection:
        return self.taking.connection

    async def make(self) -> None:
        """Take over all that the portion says."""
        listed = (*self.portion.listed, *self.portion.new)
        await news.miss(self.taking, [self.known[name] for name in self.portion.missing if name in self.known])
        if self.portion.is_first:
            missing = (name for portion in self.intake.portions for name in portion.missing)
            await news.tell_of_missing(self.taking, [self.intake.known[name] for name in missing])
        await self._follow([(self.known[file.filename], file) for file in listed if file.filename in self.known])
        await self._add([file for file in listed if file.filename not in self.known])
        await self._look()

    async def _add(self, new: Sequence[UpstreamFile]) -> None:
        """Add files that were not listed before, each with the standing it starts at."""
        if not new:
            return
        admission = await self._admission(new)
        rows = await self._refuse_taken_paths([_new_file(file, admission) for file in new])
        ids = await files.insert_files(self.connection, self.taking.project.id, rows)
        if admission.review:
            await insert_returned(self.connection, ids, admission.review)
        await self._ask_for_work(rows)
        self.taking.record.add(
            "add file",
            [
                Entry(row.version, row.filename, {"state": row.standing.state, "reason": row.standing.reason})
                for row in rows
            ],
        )
        news.tell_of_late_files(self.taking, self.intake.known.values(), rows)

    async def _admission(self, new: Sequence[UpstreamFile]) -> Admission:
        project, versions = self.taking.project, [file.version for file in new if file.version]
        policy = await self._with_feed(await self.taking.policy())
        about = await advisories.select_advisories(self.connection, project.name)
        returned = self.intake.is_return or await select_is_estranged(self.connection, project.id)
        return Admission(
            policy,
            self.window,
            self.taking.now,
            project.looked_at,
            reported(about, versions, policy.rules.in_force(self.taking.now)),
            news.RETURNED_PROJECT if returned else None,
        )

    async def _with_feed(self, policy: Policy) -> Policy:
        """While the feed says nothing of today, have trusted files held too, until it does."""
        if self.feed is None:
            return policy
        state = await advisories.select_feed(self.connection)
        is_fresh = feed_fault(self.feed, state.read_at, self.taking.now) is None
        return policy if is_fresh else replace(policy, checks=(*policy.checks, ADVISORIES))

    async def _ask_for_work(self, rows: Sequence[NewFile]) -> None:
        name = self.taking.project.name
        held = sorted({row.version for row in rows if row.standing.state is State.HELD})
        work: list[Message] = [ReleaseHeld(name, version) for version in held]
        if any(_lacks_metadata(row) for row in rows):
            work.append(MetadataWanted(name))
        await insert_messages(self.connection, work)

    async def _refuse_taken_paths(self, rows: Sequence[NewFile]) -> list[NewFile]:
        """A path belongs to the project that had it first; another that lists the same file cannot have it."""
        taken = await files.select_taken_paths(self.connection, [row.path for row in rows if row.path])
        refused = Standing(State.MALFORMED, "another project has a file under this path", None, None)
        return [row._replace(path=None, standing=refused) if row.path in taken else row for row in rows]

    async def _follow(self, listed: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
        """Take over what may change of a known file; other bytes under a known name are a conflict.

        An upload time never changes: the first that was claimed counts, and where none was, when we saw the file.
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
            self.taking.record.add("update file", entries)
        back = [known for known, _ in same if known.file.absent_since is not None]
        await news.give_back(self.taking, back, estranged=self.intake.is_return)
        await news.refuse_other_bytes(self.taking, [(known, file) for known, file in listed if conflicts(known, file)])

    async def _want_provenance(self, moved: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
        """Have provenance objects fetched that the upstream has begun to list; a file not stored yet has its turn."""
        proved = {
            known.file.version for known, file in moved if known.file.stored_at and _gained_provenance(known, file)
        }
        name = self.taking.project.name
        await insert_messages(self.connection, [ProvenanceWanted(name, version) for version in sorted(proved)])

    async def _look(self) -> None:
        """Note the look itself, a change of the project's status (PEP 792), and that the project came back."""
        project, page = self.taking.project, self.intake.page
        # A page that changes nothing has been told of before.
        if self.portion.is_first and self.intake.is_return and not self.taking.record.is_empty:
            news.tell_of_return(self.taking, page)
        if self.portion.is_last:
            await projects.update_look(self.connection, project.id, page, self.intake.read_at)
            if (page.status, page.status_reason) != (project.status, project.status_reason):
                news.tell_of_status(self.taking, page)


def _new_file(file: UpstreamFile, admission: Admission) -> NewFile:
    # A file without a version is never served, and must not take a path from one that is.
    path = public_path(file.url, file.filename, file.sha256) if file.version else None
    standing: Standing = admit(file, path, admission)
    return NewFile(
        file.version or "",
        file.filename,
        file.sha256,
        file.size,
        file.upload_time,
        file.requires_python,
        file.yanked,
        file.core_metadata,
        file.url,
        path,
        standing,
        file.provenance_url,
        _claimed_blake2b(path, file),
    )


def _lacks_metadata(row: NewFile) -> bool:
    waits = row.standing.state in (State.HELD, State.RELEASED)
    return waits and row.core_metadata is None and row.filename.endswith(".whl")


def _claimed_blake2b(path: str | None, file: UpstreamFile) -> str | None:
    """Return the digest in a path of the public index's form; one that we built has the sha256 in its place."""
    digest = path_digest(path) if path else None
    return digest if digest != file.sha256 else None


def _seen(file: UpstreamFile) -> dict[str, object]:
    return {"yanked": file.yanked, "core_metadata": file.core_metadata, "provenance": file.provenance_url}


def _gained_provenance(known: StandingFile, file: UpstreamFile) -> bool:
    return file.provenance_url not in (None, known.file.provenance_url)
