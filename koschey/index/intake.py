"""What one look at an upstream's page changes here, in one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from packaging.utils import NormalizedName

from koschey.db import files, journal, projects
from koschey.db.files import Listing, NewFile
from koschey.db.journal import Entry
from koschey.db.outbox import insert_message
from koschey.db.policies import load_policy
from koschey.db.pool import Connection
from koschey.model import SYSTEM, Origin, Project, Standing, StandingFile, State, UpstreamFile, UpstreamPage
from koschey.outbox import MetadataWanted, ProvenanceWanted, ReleaseHeld
from koschey.policy.admission import Admission, admit
from koschey.standards.names import path_digest, public_path


async def take_in(connection: Connection, name: NormalizedName, page: UpstreamPage, window: timedelta) -> None:
    """Bring a mirrored project's rows up to date with its upstream's page. Does nothing to a hosted project."""
    async with connection.transaction():
        created = await projects.insert_project(connection, name, name, Origin.MIRRORED)
        project = await projects.lock_project(connection, name)
        assert project is not None
        if project.origin is not Origin.MIRRORED:
            return
        now = await projects.select_now(connection)
        known = {known.file.filename: known for known in await files.select_project_files(connection, name)}
        listed = {file.filename: file for file in page.files}
        changes = _Changes(connection, project)
        await changes.add([file for name, file in listed.items() if name not in known], window, now)
        await changes.follow([(known[name], file) for name, file in listed.items() if name in known])
        await changes.miss([file for name, file in known.items() if name not in listed])
        await changes.look(page)
        if created and not changes.made:
            await journal.insert_entries(connection, SYSTEM, "create project", name, [Entry()])


class _Changes:
    """The steps of one intake; each writes its rows, then its part of the journal."""

    def __init__(self, connection: Connection, project: Project) -> None:
        self._connection = connection
        self._project = project
        self.made = False

    async def add(self, new: Sequence[UpstreamFile], window: timedelta, now: datetime) -> None:
        """Add files that were not listed before, each with the standing it starts at."""
        if not new:
            return
        policy = await load_policy(self._connection, self._project)
        admission = Admission(policy, window, now, self._project.looked_at)
        rows = await self._refuse_taken_paths([_new_file(file, admission) for file in new])
        await files.insert_files(self._connection, self._project.id, rows)
        for version in sorted({row.version for row in rows if row.standing.state is State.HELD}):
            await insert_message(self._connection, ReleaseHeld(self._project.name, version))
        if any(_lacks_metadata(row) for row in rows):
            await insert_message(self._connection, MetadataWanted(self._project.name))
        await self._record(
            "add file",
            [
                Entry(row.version, row.filename, {"state": row.standing.state, "reason": row.standing.reason})
                for row in rows
            ],
        )

    async def _refuse_taken_paths(self, rows: Sequence[NewFile]) -> list[NewFile]:
        """A path belongs to the project that had it first; another that lists the same file cannot have it."""
        taken = await files.select_taken_paths(self._connection, [row.path for row in rows if row.path])
        refused = Standing(State.MALFORMED, "another project has a file under this path", None, None)
        return [row._replace(path=None, standing=refused) if row.path in taken else row for row in rows]

    async def follow(self, listed: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
        """Take over what may change of a known file; other bytes under a known name are a conflict."""
        same = [(known, file) for known, file in listed if not _conflicts(known, file)]
        moved = [(known, file) for known, file in same if _listing_changed(known, file)]
        if moved:
            listings = [
                Listing(known.file.id, file.yanked, file.core_metadata, file.url, file.provenance_url)
                for known, file in moved
            ]
            await files.update_listings(self._connection, listings)
            await self._want_provenance(moved)
        if visible := [(known, file) for known, file in moved if _page_changed(known, file)]:
            entries = [Entry(known.file.version, known.file.filename, _seen(file)) for known, file in visible]
            await self._record("update file", entries)
        await self._refuse_conflicts([(known, file) for known, file in listed if _conflicts(known, file)])

    async def _want_provenance(self, moved: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
        """Have provenance objects fetched that the upstream has begun to list; a file not stored yet has its turn."""
        proved = {
            known.file.version for known, file in moved if known.file.stored_at and _gained_provenance(known, file)
        }
        for version in sorted(proved):
            await insert_message(self._connection, ProvenanceWanted(self._project.name, version))

    async def _refuse_conflicts(self, conflicts: Sequence[tuple[StandingFile, UpstreamFile]]) -> None:
        """Keep the old bytes and let none of the new in; a file that is still held stays so for a person to see."""
        held = [(known, file) for known, file in conflicts if known.standing.state is State.HELD]
        if not held:
            return
        reason = "the upstream lists other bytes under this filename now"
        await files.update_states(self._connection, [known.file.id for known, _ in held], State.CONFLICT, reason)
        entries = [
            Entry(known.file.version, known.file.filename, {"was": known.file.sha256, "now": file.sha256})
            for known, file in held
        ]
        await self._record("conflict", entries)

    async def miss(self, missing: Sequence[StandingFile]) -> None:
        """Note which files the upstream lists no more. What is stored here stays; what is held is judged later."""
        gone = [known.file for known in missing if known.file.absent_since is None]
        if gone:
            await files.update_absent(self._connection, [file.id for file in gone])
            await self._record("absent upstream", [Entry(file.version, file.filename) for file in gone])

    async def look(self, page: UpstreamPage) -> None:
        """Note the look itself, and a change of the project's status (PEP 792)."""
        project = self._project
        await projects.update_look(self._connection, project.id, page.etag, page.status, page.status_reason)
        if (page.status, page.status_reason) != (project.status, project.status_reason):
            detail: dict[str, object] = {"status": page.status, "reason": page.status_reason}
            await self._record("project status", [Entry(detail=detail)])

    async def _record(self, action: str, entries: Sequence[Entry]) -> None:
        self.made = True
        await journal.insert_entries(self._connection, SYSTEM, action, self._project.name, entries)


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
