"""What one look at an upstream's page changes here, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from packaging.utils import NormalizedName

from koschey.db import advisories, files, journal, projects
from koschey.db.files import Listing, NewFile
from koschey.db.journal import Entry
from koschey.db.news import insert_returned, select_is_estranged
from koschey.db.outbox import insert_message
from koschey.db.pool import Connection
from koschey.index import news
from koschey.index.taking import Taking
from koschey.model import SYSTEM, Origin, ProjectStatus, Standing, StandingFile, State, UpstreamFile, UpstreamPage
from koschey.outbox import MetadataWanted, ProvenanceWanted, ReleaseHeld
from koschey.policy.admission import Admission, admit
from koschey.policy.advisories import ADVISORIES, Feed, feed_fault, reported
from koschey.policy.news import is_estranged
from koschey.policy.verdict import Policy
from koschey.standards.names import path_digest, public_path


async def take_in(
    connection: Connection, name: NormalizedName, page: UpstreamPage, window: timedelta, feed: Feed | None = None
) -> None:
    """Bring a mirrored project's rows up to date with its upstream's page. Does nothing to a hosted project.

    `feed` says that there is one with advisories, and how old what it said may be.
    """
    async with connection.transaction():
        created = await projects.insert_project(connection, name, name, Origin.MIRRORED)
        project = await projects.lock_project(connection, name)
        assert project is not None
        if project.origin is not Origin.MIRRORED:
            return
        now = await projects.select_now(connection)
        known = {known.file.filename: known for known in await files.select_project_files(connection, name)}
        listed = {file.filename: file for file in page.files}
        changes = _Changes(Taking(connection, project, now), page, known, window, feed)
        await changes.add([file for name, file in listed.items() if name not in known])
        await changes.follow([(known[name], file) for name, file in listed.items() if name in known])
        await changes.miss()
        await changes.look()
        if created:
            await advisories.update_applied(connection, name)
            if not changes.taking.made:
                await journal.insert_entries(connection, SYSTEM, "create project", name, [Entry()])


@dataclass(frozen=True, slots=True)
class _Changes:
    """The steps of one intake; each writes its rows, then its part of the journal."""

    taking: Taking
    page: UpstreamPage
    known: Mapping[str, StandingFile]
    window: timedelta
    feed: Feed | None

    @property
    def connection(self) -> Connection:
        return self.taking.connection

    @property
    def is_return(self) -> bool:
        """Whether the project comes back with this page, perhaps in other hands."""
        before = self.taking.project.status
        if self.page.status is ProjectStatus.QUARANTINED:
            return False
        return is_estranged(self.known.values(), {file.filename for file in self.page.files}, before)

    async def add(self, new: Sequence[UpstreamFile]) -> None:
        """Add files that were not listed before, each with the standing it starts at."""
        if not new:
            return
        admission = await self._admission(new)
        rows = await self._refuse_taken_paths([_new_file(file, admission) for file in new])
        ids = await files.insert_files(self.connection, self.taking.project.id, rows)
        if admission.review:
            await insert_returned(self.connection, ids, admission.review)
        await self._ask_for_work(rows)
        entries = [
            Entry(row.version, row.filename, {"state": row.standing.state, "reason": row.standing.reason})
            for row in rows
        ]
        serial = await self.taking.record("add file", entries)
        await news.tell_of_late_files(self.taking, serial, self.known.values(), rows)

    async def _admission(self, new: Sequence[UpstreamFile]) -> Admission:
        project, versions = self.taking.project, [file.version for file in new if file.version]
        policy = await self._with_feed(await self.taking.policy())
        about = await advisories.select_advisories(self.connection, project.name)
        returned = self.is_return or (bool(self.known) and await select_is_estranged(self.connection, project.id))
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
        for version in sorted({row.version for row in rows if row.standing.state is State.HELD}):
            await insert_message(self.connection, ReleaseHeld(self.taking.project.name, version))
        if any(_lacks_metadata(row) for row in rows):
            await insert_message(self.connection, MetadataWanted(self.taking.project.name))

    async def _refuse_taken_paths(self, rows: Sequence[NewFile]) -> list[NewFile]:
        """A path belongs to the project that had it first; another that lists the same file cannot have it."""
        taken = await files.select_taken_paths(self.connection, [row.path for row in rows if row.path])
        refused = Standing(State.MALFORMED, "another project has a file under this path", None, None)
        return [row._replace(path=None, standing=refused) if row.path in taken else row for row in rows]

    async def follow(self, listed: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
        """Take over what may change of a known file; other bytes under a known name are a conflict.

        An upload time never changes: the first that was claimed counts, and where none was, when we saw the file.
        """
        same = [(known, file) for known, file in listed if not _conflicts(known, file)]
        moved = [(known, file) for known, file in same if _listing_changed(known, file)]
        if moved:
            listings = [
                Listing(known.file.id, file.yanked, file.core_metadata, file.url, file.provenance_url)
                for known, file in moved
            ]
            await files.update_listings(self.connection, listings)
            await self._want_provenance(moved)
        if visible := [(known, file) for known, file in moved if _page_changed(known, file)]:
            entries = [Entry(known.file.version, known.file.filename, _seen(file)) for known, file in visible]
            await self.taking.record("update file", entries)
        back = [known for known, _ in same if known.file.absent_since is not None]
        await news.give_back(self.taking, back, estranged=self.is_return)
        await news.refuse_other_bytes(self.taking, [(known, file) for known, file in listed if _conflicts(known, file)])

    async def _want_provenance(self, moved: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
        """Have provenance objects fetched that the upstream has begun to list; a file not stored yet has its turn."""
        proved = {
            known.file.version for known, file in moved if known.file.stored_at and _gained_provenance(known, file)
        }
        for version in sorted(proved):
            await insert_message(self.connection, ProvenanceWanted(self.taking.project.name, version))

    async def miss(self) -> None:
        """Act on files that the upstream lists no more.

        Of a project that it has quarantined it may list none (PEP 792), which says nothing of any single file.
        """
        if self.page.status is not ProjectStatus.QUARANTINED:
            listed = {file.filename for file in self.page.files}
            await news.miss(self.taking, [known for name, known in self.known.items() if name not in listed])

    async def look(self) -> None:
        """Note the look itself, a change of the project's status (PEP 792), and that the project came back."""
        project, page = self.taking.project, self.page
        await projects.update_look(self.connection, project.id, page.etag, page.status, page.status_reason)
        # A page that changes nothing has been told of before.
        if self.is_return and self.taking.made:
            await news.tell_of_return(self.taking, page)
        if (page.status, page.status_reason) != (project.status, project.status_reason):
            detail: dict[str, object] = {"status": page.status, "reason": page.status_reason}
            await news.tell_of_status(self.taking, page, Entry(detail=detail))


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


def _conflicts(known: StandingFile, file: UpstreamFile) -> bool:
    return file.sha256 is not None and known.file.sha256 is not None and file.sha256 != known.file.sha256


def _listing_changed(known: StandingFile, file: UpstreamFile) -> bool:
    back = known.file.absent_since is not None
    return back or known.file.upstream_url != file.url or _page_changed(known, file)


def _page_changed(known: StandingFile, file: UpstreamFile) -> bool:
    gained = known.file.core_metadata is None and file.core_metadata is not None
    proved = known.file.provenance_url != file.provenance_url
    return gained or proved or known.file.yanked != file.yanked


def _gained_provenance(known: StandingFile, file: UpstreamFile) -> bool:
    return file.provenance_url not in (None, known.file.provenance_url)
