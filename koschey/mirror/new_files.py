"""Judges the files that are new on an upstream's page: each gets the state that the policy gives it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

from koschey.causes import BY_FILENAME, Grounds
from koschey.db.files import NewFile
from koschey.db.journal import Entry
from koschey.db.refreshes import Facts
from koschey.events import Event
from koschey.mirror import news
from koschey.mirror.portions import PortionTransaction, path_of
from koschey.model import Standing, StandingFile, State, UpstreamFile
from koschey.outbox import Message, MetadataWanted, ReleaseHeld
from koschey.policy.admission import Admission, admit
from koschey.policy.advisories import ADVISORIES, Feed, feed_fault, reported
from koschey.policy.verdict import Policy
from koschey.standards.names import path_digest

USED_PATH = Standing(State.MALFORMED, BY_FILENAME, "another project has a file under this path", None, None)
USED_NAME = Standing(State.CONFLICT, BY_FILENAME, "other bytes were downloaded under this filename before", None, None)


@dataclass(frozen=True, slots=True)
class Additions:
    """Judges new files within one portion of an intake."""

    transaction: PortionTransaction
    known: Collection[StandingFile]
    """All files of the project before the intake."""
    window: timedelta
    feed: Feed | None

    async def judge(self, new: Sequence[UpstreamFile], *, returned: bool) -> "NewRows":
        """Judge new files, and add them to the record. The caller writes them.

        `returned` means that their project comes back with them and may have another owner.
        """
        if not new:
            return NewRows()
        facts = await self.transaction.facts()
        admission = self._admission(facts, new, returned=returned)
        rows = [_refuse(_new_file(file, admission), facts) for file in new]
        self.transaction.record.add(
            Event.ADD_FILE,
            [
                Entry(row.version, row.filename, {"state": row.standing.state, "reason": row.standing.reason})
                for row in rows
            ],
        )
        news.alert_late_files(self.transaction, self.known, rows)
        return NewRows(rows, self._work(rows), admission.review)

    def _admission(self, facts: Facts, new: Sequence[UpstreamFile], *, returned: bool) -> Admission:
        transaction, versions = self.transaction, [file.version for file in new if file.version]
        policy = self._with_feed(facts)
        return Admission(
            policy,
            self.window,
            transaction.now,
            transaction.project.looked_at,
            reported(facts.advisories, versions, policy.rules.active(transaction.now)),
            news.RETURNED_PROJECT if returned or facts.is_estranged else None,
        )

    def _with_feed(self, facts: Facts) -> Policy:
        """Return a policy that also holds trusted files until the advisory feed is fresh, if it is not."""
        policy = facts.policy
        if self.feed is None or feed_fault(self.feed, facts.feed_read_at, self.transaction.now) is None:
            return policy
        return replace(policy, checks=(*policy.checks, ADVISORIES))

    def _work(self, rows: Sequence[NewFile]) -> list[Message]:
        name = self.transaction.project.name
        held = sorted({row.version for row in rows if row.standing.state is State.HELD})
        work: list[Message] = [ReleaseHeld(name, version) for version in held]
        if any(_lacks_metadata(row) for row in rows):
            work.append(MetadataWanted(name))
        return work


class NewRows(NamedTuple):
    """New files to be written, and what must be written with them."""

    files: Sequence[NewFile] = ()
    messages: Sequence[Message] = ()
    """The work that they need."""
    review: Grounds | None = None
    """Why a person must review all of them."""


def _refuse(row: NewFile, facts: Facts) -> NewFile:
    """Refuse a path that belongs to another project, and other bytes under a filename that clients downloaded.

    The first project that lists a file keeps its path.
    """
    if row.path in facts.used_paths:
        row = row._replace(path=None, standing=USED_PATH)
    return row._replace(standing=USED_NAME) if facts.used_names.get(row.filename, set()) - {row.sha256} else row


def _new_file(file: UpstreamFile, admission: Admission) -> NewFile:
    path = path_of(file)
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
