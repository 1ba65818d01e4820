"""Acts, within an intake, on news about existing files: missing, listed again, replaced, or late."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from koschey.causes import Grounds, UpstreamCause, by_upstream
from koschey.db import files, projects, standings
from koschey.db.alerts import FIRST
from koschey.db.files import NewFile
from koschey.db.journal import Entry
from koschey.db.news import (
    insert_reappeared,
    insert_reappeared_project,
    insert_replaced,
    insert_returned,
    select_replaced,
)
from koschey.db.outbox import insert_messages
from koschey.events import AlertKind, Event
from koschey.mirror.portions import PortionTransaction
from koschey.model import Absence, FileId, ProjectStatus, StandingFile, State, UpstreamFile, UpstreamPage
from koschey.outbox import ReleaseHeld
from koschey.policy.absence import next_absence
from koschey.policy.advisories import reported
from koschey.policy.news import is_late, is_unchanged, withdrawal
from koschey.policy.verdict import closed_by

KEPT = "the upstream no longer lists the file; it was accepted long ago and is still served"
HELD_GONE = "the upstream removed the file during its quarantine"
REAPPEARED = "the upstream did not list the file for a while during its quarantine"
RETURNED_PROJECT = Grounds(
    by_upstream(UpstreamCause.RETURNED),
    "the project came back after it was gone from the upstream; its name may have a new owner there",
)
RETURNED_FILE = Grounds(
    by_upstream(UpstreamCause.REMOVED), "the upstream removed the file during its quarantine, and lists it again"
)
RELEASED_AGAIN = Grounds(
    by_upstream(UpstreamCause.LISTED_AGAIN), "the upstream withdrew the released file, and lists it again unchanged"
)
REPLACED = Grounds(by_upstream(UpstreamCause.REPLACED), "the upstream lists other bytes under this filename now")


@dataclass(frozen=True, slots=True)
class AbsenceJudge:
    """When a refresh found files missing, and how their absences are confirmed."""

    read_at: datetime
    after: Sequence[timedelta]
    page: Absence | None
    """The absence of the whole page, or None if the page exists."""

    def judge(self, item: StandingFile) -> Absence:
        """Return the absence of a file after this refresh."""
        return self.page or next_absence(item.file.absence, self.read_at, self.after)

    def suspect(self, items: Iterable[StandingFile]) -> list[StandingFile]:
        """Return the files whose absence this refresh is the first to suspect."""
        return [item for item in items if item.file.absence is None and not self.judge(item).is_confirmed]

    def confirm(self, items: Iterable[StandingFile]) -> list[StandingFile]:
        """Return the files whose absence this refresh confirms."""
        return [item for item in items if not item.file.is_gone and self.judge(item).is_confirmed]


async def record_missing(transaction: PortionTransaction, missing: Collection[StandingFile], how: AbsenceJudge) -> None:
    """Record which files the upstream no longer lists, and act on confirmed absences at once.

    Held files are settled. Released files that were withdrawn soon after their upload are blocked; all other released
    files stay served.
    """
    await files.update_absences(transaction.connection, [(item.file.id, how.judge(item)) for item in missing])
    suspected, gone = how.suspect(missing), how.confirm(missing)
    transaction.record.add(
        Event.ABSENCE_SUSPECTED, [Entry(item.file.version, item.file.filename) for item in suspected]
    )
    await _wake(transaction, gone)
    transaction.record.add(Event.ABSENCE_CONFIRMED, [Entry(item.file.version, item.file.filename) for item in gone])
    withdrawn = [(item, grounds) for item, grounds in await _withdrawn(transaction, gone, how) if grounds]
    await _block(transaction, withdrawn, withdrawn=True)


async def alert_missing(transaction: PortionTransaction, missing: Collection[StandingFile], how: AbsenceJudge) -> None:
    """Raise alerts about the files that the upstream no longer lists, and about what happens to them."""
    suspected, gone = how.suspect(missing), how.confirm(missing)
    if suspected:
        transaction.record.alert(
            AlertKind.ABSENCE_SUSPECTED, [_entry(item, reason=_until(how.judge(item))) for item in suspected]
        )
    held = [_entry(item, reason=HELD_GONE, state=State.HELD) for item in gone if item.standing.state is State.HELD]
    released = [
        _entry(item, reason=grounds.reason if grounds else KEPT, served=grounds is None)
        for item, grounds in await _withdrawn(transaction, gone, how)
    ]
    transaction.record.alert(AlertKind.ABSENCE_CONFIRMED, [*held, *released])


async def note_absent_page(transaction: PortionTransaction, absence: Absence) -> None:
    """Record the absence of the whole page. The journal notes a suspicion, with an alert, and a confirmation."""
    project = transaction.project
    if absence == project.absence:
        return
    await projects.update_absence(transaction.connection, project.id, absence)
    entry = Entry(detail={"reason": _until(absence), "since": absence.since.isoformat()})
    if absence.is_confirmed:
        transaction.record.add(Event.ABSENCE_CONFIRMED, [entry])
    elif project.absence is None:
        transaction.record.add(Event.ABSENCE_SUSPECTED, [entry])
        transaction.record.alert(AlertKind.ABSENCE_SUSPECTED, [entry])


async def end_absent_page(transaction: PortionTransaction) -> None:
    """Record that the page is back. Held files wait for a reviewer even if the absence was only suspected."""
    project = transaction.project
    if project.absence is None:
        return
    await projects.update_absence(transaction.connection, project.id, None)
    if not project.absence.is_confirmed:
        await insert_reappeared_project(transaction.connection, project.id, REAPPEARED)
    entry = Entry(detail={"since": project.absence.since.isoformat(), "confirmed": project.absence.is_confirmed})
    transaction.record.add(Event.ABSENCE_ENDED, [entry])
    transaction.record.alert(AlertKind.ABSENCE_ENDED, [entry])


@dataclass(frozen=True, slots=True)
class ProjectReturn:
    """How a project comes back from an absence."""

    of_page: bool = False
    """Whether the whole page was absent."""
    estranged: bool = False
    """Whether the project may have another owner by now."""
    is_trusted: bool = True
    """Whether the project is not quarantined, and is not estranged or lists only files that are unchanged."""


async def relist(
    transaction: PortionTransaction, back: Sequence[tuple[StandingFile, UpstreamFile]], how: ProjectReturn
) -> None:
    """Act on files that were missing and are listed again.

    A held file waits for a reviewer; if its absence was confirmed, it is blocked. A file that was released before, and
    was blocked only for its absence, is released again if it is unchanged.
    """
    if not back:
        return
    entries = [_entry(known) for known, _ in back]
    transaction.record.add(Event.ABSENCE_ENDED, entries)
    if not how.of_page:
        transaction.record.alert(AlertKind.ABSENCE_ENDED, entries)
    held = [known for known, _ in back if known.standing.state is State.HELD]
    await insert_reappeared(
        transaction.connection, [item.file.id for item in held if not item.file.is_gone], REAPPEARED
    )
    await _wake(transaction, held)
    await _block(transaction, [(item, RETURNED_FILE) for item in held if item.file.is_gone])
    if how.estranged:
        await insert_returned(transaction.connection, [known.file.id for known, _ in back], RETURNED_PROJECT.reason)
    if how.is_trusted:
        await _release_again(transaction, [known for known, file in back if is_unchanged(known.file, file)])


async def _release_again(transaction: PortionTransaction, unchanged: Iterable[StandingFile]) -> None:
    """Release files that only a withdrawal has blocked, unless another reason against them exists by now."""
    withdrawn = [item for item in unchanged if item.standing.withdrawn_at is not None]
    if not withdrawn:
        return
    facts = await transaction.facts()
    policy = facts.policy.active(transaction.now)
    malware = reported(facts.advisories, {item.file.version for item in withdrawn}, policy.rules)
    ready = [
        item
        for item in withdrawn
        if item.file.has_known_bytes
        and item.file.version not in malware
        and closed_by(policy, item.file.version) is None
    ]
    for state in (State.HELD, State.RELEASED):
        # These are the legal moves: a blocked file becomes held, and only a held file can be released.
        await standings.update_states(transaction.connection, [item.file.id for item in ready], state, RELEASED_AGAIN)
        transaction.record.add(Event(state), [_entry(item, reason=RELEASED_AGAIN.reason) for item in ready])


async def _withdrawn(
    transaction: PortionTransaction, gone: Iterable[StandingFile], how: AbsenceJudge
) -> list[tuple[StandingFile, Grounds | None]]:
    """Return the released files among `gone`, each with the reason to block it.

    The reason is None unless the file was withdrawn soon after its upload.
    """
    released = [item for item in gone if item.standing.state is State.RELEASED]
    if not released:
        return []
    rules = (await transaction.policy()).rules.active(transaction.now)
    return [(item, withdrawal(item.file, item.standing, rules, how.judge(item).since)) for item in released]


async def _block(
    transaction: PortionTransaction, blocked: Sequence[tuple[StandingFile, Grounds]], *, withdrawn: bool = False
) -> None:
    alike: dict[Grounds, list[FileId]] = {}
    for item, grounds in blocked:
        alike.setdefault(grounds, []).append(item.file.id)
    for grounds, ids in alike.items():
        await standings.update_states(transaction.connection, ids, State.BLOCKED, grounds, withdrawn=withdrawn)
    transaction.record.add(Event.BLOCKED, [_entry(item, reason=grounds.reason) for item, grounds in blocked])


async def _wake(transaction: PortionTransaction, items: Iterable[StandingFile]) -> None:
    """Request that the releases of those files that are held are settled."""
    held = sorted({item.file.version for item in items if item.standing.state is State.HELD})
    await insert_messages(transaction.connection, [ReleaseHeld(transaction.project.name, version) for version in held])


def _entry(item: StandingFile, **detail: object) -> Entry:
    return Entry(item.file.version, item.file.filename, detail)


def _until(absence: Absence) -> str:
    if absence.due_at is None:
        return "re-checks have confirmed the absence"
    return (
        "nothing of it is released automatically until re-checks confirm or end the absence; "
        f"next {absence.due_at:%H:%M} UTC"
    )


def alert_return(transaction: PortionTransaction, page: UpstreamPage) -> None:
    """Raise an alert that a project came back from an absence and may have another owner."""
    listed = [file.filename for file in page.files]
    entry = Entry(detail={"reason": RETURNED_PROJECT.reason, "files": len(page.files), "first": listed[:FIRST]})
    transaction.record.add(Event.PROJECT_RETURNED, [entry])
    transaction.record.alert(AlertKind.PROJECT_RETURNED, [entry])


def record_status_change(transaction: PortionTransaction, page: UpstreamPage) -> None:
    """Record a change of the project's status (PEP 792), if there is one.

    A quarantine raises an alert: the verdict closes all files.
    """
    project = transaction.project
    if (page.status, page.status_reason) == (project.status, project.status_reason):
        return
    entry = Entry(detail={"status": page.status, "reason": page.status_reason})
    transaction.record.add(Event.PROJECT_STATUS, [entry])
    if page.status is ProjectStatus.QUARANTINED:
        transaction.record.alert(AlertKind.PROJECT_QUARANTINED, [entry])


async def refuse_other_bytes(
    transaction: PortionTransaction, conflicts: Sequence[tuple[StandingFile, UpstreamFile]]
) -> None:
    """Keep the old bytes and refuse the new ones.

    A held file becomes a conflict, on which a reviewer decides. A released file stays served. Each new digest is
    recorded, with an alert, once rather than at every refresh.
    """
    seen = (
        await select_replaced(transaction.connection, [known.file.id for known, _ in conflicts]) if conflicts else set()
    )
    fresh = [
        (known, file.sha256)
        for known, file in conflicts
        if file.sha256 is not None and (known.file.id, file.sha256) not in seen
    ]
    if not fresh:
        return
    held = [known.file.id for known, _ in fresh if known.standing.state is State.HELD]
    if held:
        await standings.update_states(transaction.connection, held, State.CONFLICT, REPLACED)
    await insert_replaced(transaction.connection, [(known.file.id, now) for known, now in fresh], REPLACED.reason)
    entries = [_entry(known, was=known.file.sha256, now=now) for known, now in fresh]
    transaction.record.add(Event.CONFLICT, entries)
    transaction.record.alert(AlertKind.CONFLICT, entries)


def alert_late_files(transaction: PortionTransaction, known: Iterable[StandingFile], added: Sequence[NewFile]) -> None:
    """Raise an alert about new files of a release that was released before."""
    releases: dict[str, list[StandingFile]] = {}
    for item in known:
        releases.setdefault(item.file.version, []).append(item)
    late = [
        Entry(row.version, row.filename, {"state": row.standing.state, "reason": row.standing.reason})
        for row in added
        if is_late(releases.get(row.version, ()), transaction.now, released=row.standing.state is State.RELEASED)
    ]
    transaction.record.alert(AlertKind.LATE_FILE, late)
