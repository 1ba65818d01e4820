"""Settles a release: applies the one verdict to each of its files, so that time releases or blocks held files."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from packaging.utils import NormalizedName

from koschey.causes import Grounds, UpstreamCause, by_upstream
from koschey.db import files, journal, projects, standings
from koschey.db.journal import Entry
from koschey.db.policies import load_policy
from koschey.db.pool import Connection
from koschey.db.record import Record
from koschey.db.settling import lock_project_now
from koschey.events import Event
from koschey.model import SYSTEM, File, FileId, Origin, Project, ProjectStatus, StandingFile, State
from koschey.policy.advisories import Feed
from koschey.policy.findings import Evidence
from koschey.policy.verdict import NOTHING_KNOWN, Policy, Verdict, verdict
from koschey.policy.windows import renew
from koschey.quarantine.evidence import gather_evidence
from koschey.quarantine.security_fixes import renew_fixes

SOONEST = timedelta(seconds=5)
"""Minimum time before a release is settled again, so that a persistent cause does not make a busy loop."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The state of a release after settling."""

    held: tuple[File, ...]
    """Files that are still held."""
    needs_refresh: bool
    """Whether some are held only until the upstream's page is read again."""
    release_at: datetime | None
    """When time may release the first of them."""
    recheck_in: timedelta | None
    """Time from now until the release should be settled again; None if only a person or a check can change it."""
    state: State
    reasons: tuple[str, ...]
    files: tuple[StandingFile, ...] = ()
    """All files of the release, with their states now."""
    evidence: Mapping[FileId, Evidence] = field(default_factory=dict)
    """What checks recorded, and the feed says, of the files that were held."""
    checks: tuple[str, ...] = ()
    """The checks that any worker has registered."""


async def settle(
    connection: Connection, project: NormalizedName, version: str, usual: timedelta, feed: Feed | None = None
) -> Settlement:
    """Change the states that are due, in one transaction, and return what is left.

    Files that the upstream removed, yanked or quarantined, and files that an advisory calls malware, are blocked. Files
    whose window has ended, that have passed every check and that are still listed, are released (`policy.verdict` has
    the exact rules). `usual` is the window if no rule says otherwise. `feed` is the feed of advisories; without it none
    is required.

    Concurrent, repeated or late settlings change nothing twice.
    """
    async with connection.transaction():
        locked = await lock_project_now(connection, project)
        if locked is None:
            return Settlement((), False, None, None, State.RELEASED, ())
        found, now = locked
        known = await files.lock_release_files(connection, project, version)
        policy = await load_policy(connection, found)
        known = await _renew_windows(connection, known, policy, usual)
        held = [item for item in known if item.standing.state is State.HELD]
        judging, evidence = await gather_evidence(connection, held, policy, feed, now)
        judged = [
            (item, verdict(item.file, item.standing, judging, now, evidence.get(item.file.id, NOTHING_KNOWN)))
            for item in known
        ]
        due = [(item, judgement) for item, judgement in judged if judgement.state is not item.standing.state]
        if _preserves_states(found):
            due = []
        await _move(connection, due)
        if held:
            await renew_fixes(connection, found)
        await _record(connection, project, due)
        checks = tuple(check.name for check in policy.checks)
        return replace(_summarise(judged, now), files=_moved(known, due), evidence=evidence, checks=checks)


async def note_failure(connection: Connection, item: StandingFile, reason: str) -> None:
    """Record with a held file why it could not be downloaded; it stays held."""
    async with connection.transaction():
        # The project is locked first, as everywhere: another order of locks would cause a deadlock with a decision.
        await projects.lock_project(connection, item.file.project)
        unreachable = Grounds(by_upstream(UpstreamCause.UNREACHABLE), reason)
        if await standings.update_held_reason(connection, item.file.id, unreachable):
            entry = Entry(item.file.version, item.file.filename, {"reason": reason})
            await journal.insert_entries(connection, SYSTEM, Event.FETCH_FAILED, item.file.project, [entry])


async def _renew_windows(
    connection: Connection, known: Sequence[StandingFile], policy: Policy, usual: timedelta
) -> list[StandingFile]:
    """End the windows of held files by today's rules, not by those under which the files were first seen."""
    renewed = [renew(item, policy.rules, usual) for item in known]
    moved = [after for before, after in zip(known, renewed, strict=True) if after is not before]
    if moved:
        due = [(item.file.id, item.standing.release_at, item.standing.held_until) for item in moved]
        await standings.update_windows(connection, due)
    return renewed


def _preserves_states(project: Project) -> bool:
    """Return whether a quarantine of the project hides the files without changing their states.

    The quarantine of a hosted project is lifted as a whole, and then exactly the files that were released before must
    be served again.
    """
    return project.origin is Origin.HOSTED and project.status is ProjectStatus.QUARANTINED


async def _move(connection: Connection, due: Sequence[tuple[StandingFile, Verdict]]) -> None:
    alike = defaultdict[tuple[State, Grounds], list[FileId]](list)
    for item, judgement in due:
        alike[judgement.state, judgement.grounds].append(item.file.id)
    for (state, grounds), ids in alike.items():
        await standings.update_states(connection, ids, state, grounds)


async def _record(connection: Connection, project: NormalizedName, due: Sequence[tuple[StandingFile, Verdict]]) -> None:
    record = Record(connection, SYSTEM, project)
    for item, judgement in due:
        record.add(Event(judgement.state), [Entry(item.file.version, item.file.filename, {"reason": judgement.reason})])
    await record.write()


def _moved(known: Sequence[StandingFile], due: Sequence[tuple[StandingFile, Verdict]]) -> tuple[StandingFile, ...]:
    """Return the files of a release as they are after the moves."""
    moves = {item.file.id: judgement for item, judgement in due}

    def after(item: StandingFile) -> StandingFile:
        move = moves.get(item.file.id)
        if move is None:
            return item
        return replace(item, standing=replace(item.standing, state=move.state, cause=move.cause, reason=move.reason))

    return tuple(map(after, known))


def _summarise(judged: Sequence[tuple[StandingFile, Verdict]], now: datetime) -> Settlement:
    waiting = [(item, judgement) for item, judgement in judged if judgement.state is State.HELD]
    moments = [judgement.recheck_at for _, judgement in waiting if judgement.recheck_at]
    releases = [item.standing.release_at for item, _ in waiting if item.standing.release_at]
    states = {judgement.state for _, judgement in judged}
    return Settlement(
        held=tuple(item.file for item, _ in waiting),
        needs_refresh=any(judgement.needs_refresh for _, judgement in waiting),
        release_at=min(releases, default=None),
        recheck_in=max(min(moments) - now, SOONEST) if moments else None,
        state=next((state for state in STATES_BY_WEIGHT if state in states), State.RELEASED),
        reasons=tuple(sorted({judgement.reason for _, judgement in judged})),
    )


STATES_BY_WEIGHT = (
    State.HELD,
    State.CONFLICT,
    State.MALFORMED,
    State.BLOCKED,
    State.RELEASED,
    State.REMOVED,
)
"""States, the one that needs attention most first. A release is shown with the first state of any of its files."""
