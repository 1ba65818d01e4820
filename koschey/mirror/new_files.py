"""Adds the files that are new on an upstream's page, each in the state that the policy gives it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from koschey.causes import BY_FILENAME
from koschey.db import advisories, files
from koschey.db.claims import select_used_names
from koschey.db.files import NewFile
from koschey.db.journal import Entry
from koschey.db.news import insert_returned, select_is_estranged
from koschey.db.outbox import insert_messages
from koschey.db.pool import Connection
from koschey.events import Event
from koschey.mirror import news
from koschey.mirror.portions import PortionTransaction
from koschey.model import Standing, StandingFile, State, UpstreamFile
from koschey.outbox import Message, MetadataWanted, ReleaseHeld
from koschey.policy.admission import Admission, admit
from koschey.policy.advisories import ADVISORIES, Feed, feed_fault, reported
from koschey.policy.verdict import Policy
from koschey.standards.names import path_digest, public_path


@dataclass(frozen=True, slots=True)
class Additions:
    """Adds files within one portion of an intake."""

    transaction: PortionTransaction
    known: Collection[StandingFile]
    """All files of the project before the intake."""
    window: timedelta
    feed: Feed | None

    @property
    def connection(self) -> Connection:
        """The connection of the portion's transaction."""
        return self.transaction.connection

    async def add(self, new: Sequence[UpstreamFile], *, returned: bool) -> None:
        """Add files; `returned` means that their project comes back with them and may have another owner."""
        if not new:
            return
        admission = await self._admission(new, returned=returned)
        rows = await self._refuse_used_paths([_new_file(file, admission) for file in new])
        rows = await self._refuse_used_names(rows)
        ids = await files.insert_files(self.connection, self.transaction.project.id, rows)
        if admission.review:
            await insert_returned(self.connection, ids, admission.review.reason)
        await self._request_work(rows)
        self.transaction.record.add(
            Event.ADD_FILE,
            [
                Entry(row.version, row.filename, {"state": row.standing.state, "reason": row.standing.reason})
                for row in rows
            ],
        )
        news.alert_late_files(self.transaction, self.known, rows)

    async def _admission(self, new: Sequence[UpstreamFile], *, returned: bool) -> Admission:
        project, versions = self.transaction.project, [file.version for file in new if file.version]
        policy = await self._with_feed(await self.transaction.policy())
        about = await advisories.select_advisories(self.connection, project.name)
        returned = returned or await select_is_estranged(self.connection, project.id)
        return Admission(
            policy,
            self.window,
            self.transaction.now,
            project.looked_at,
            reported(about, versions, policy.rules.active(self.transaction.now)),
            news.RETURNED_PROJECT if returned else None,
        )

    async def _with_feed(self, policy: Policy) -> Policy:
        """Return a policy that also holds trusted files until the advisory feed is fresh, if it is not."""
        if self.feed is None:
            return policy
        state = await advisories.select_feed(self.connection)
        is_fresh = feed_fault(self.feed, state.read_at, self.transaction.now) is None
        return policy if is_fresh else replace(policy, checks=(*policy.checks, ADVISORIES))

    async def _request_work(self, rows: Sequence[NewFile]) -> None:
        name = self.transaction.project.name
        held = sorted({row.version for row in rows if row.standing.state is State.HELD})
        work: list[Message] = [ReleaseHeld(name, version) for version in held]
        if any(_lacks_metadata(row) for row in rows):
            work.append(MetadataWanted(name))
        await insert_messages(self.connection, work)

    async def _refuse_used_paths(self, rows: Sequence[NewFile]) -> list[NewFile]:
        """Refuse a path that belongs to another project: the first project that lists a file keeps its path."""
        used = await files.select_used_paths(self.connection, [row.path for row in rows if row.path])
        refused = Standing(State.MALFORMED, BY_FILENAME, "another project has a file under this path", None, None)
        return [row._replace(path=None, standing=refused) if row.path in used else row for row in rows]

    async def _refuse_used_names(self, rows: Sequence[NewFile]) -> list[NewFile]:
        """Refuse other bytes under a filename that clients downloaded while the project had another origin."""
        used = await select_used_names(self.connection, self.transaction.project.name, [row.filename for row in rows])
        refused = Standing(
            State.CONFLICT, BY_FILENAME, "other bytes were downloaded under this filename before", None, None
        )
        return [row._replace(standing=refused) if used.get(row.filename, set()) - {row.sha256} else row for row in rows]


def _new_file(file: UpstreamFile, admission: Admission) -> NewFile:
    # A file without a version is never served, and must not occupy the path of a file that is served.
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
    """Return the BLAKE2b digest in a path of the public index's form.

    Returns None for a path that Koschey built, which contains the SHA-256 instead.
    """
    digest = path_digest(path) if path else None
    return digest if digest != file.sha256 else None
