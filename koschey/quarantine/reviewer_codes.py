"""Codes of reviewers: they authorize a signal to Temporal to decide, because Temporal does not say who sent it.

Koschey shows a code to a reviewer who is logged in. It proves one decision: of this reviewer, this choice, about these
releases as they were shown, once for each of them. The signal must be received within ten minutes after the code was
shown. The command line has no account; a code that it shows decides as the command line itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from koschey.auth.authorization import COMMAND_LINE, authorize_actor
from koschey.auth.codes import digest_code, new_code
from koschey.auth.permissions import Action
from koschey.db import projects
from koschey.db.pool import Connection, Database
from koschey.db.reviewer_codes import (
    CodeRow,
    NewCodeRow,
    count_open_codes,
    delete_old_codes,
    insert_code,
    lock_code,
    select_codes,
    update_used,
)
from koschey.errors import UsageError
from koschey.model import Actor, State
from koschey.policy.advisories import Feed
from koschey.quarantine.decide import decide
from koschey.quarantine.decision import MAX_EXTENSION, Choice, Decision
from koschey.quarantine.shown_releases import Release, ShownRelease, show_releases
from koschey.settings.signal_decisions import SignalDecisions

LIFETIME = timedelta(minutes=10)
"""Maximum time from the display of a code to the receipt of the signal that carries it."""
KEPT = timedelta(days=30)
"""How long a code is stored. A signal may be unread for this time; then its code counts as wrong."""
CHOICES = (Choice.APPROVE, Choice.BLOCK, Choice.EXTEND)
"""Choices that a signal may decide."""
MOST_RELEASES = 500
MOST_OPEN = 100
"""Maximum number of unused codes of one reviewer within `LIFETIME`: each is one more that a guess could match."""

type Age = Callable[[], Awaitable[timedelta | None]]
"""Returns how long ago the signal was received; None if nothing proves that it was received."""


class CodeState(StrEnum):
    """Whether a code proves a decision, and if not, why."""

    RIGHT = "right"
    MISSING = "missing"
    WRONG = "wrong"
    """There is no such code for this release."""
    OTHER = "other"
    """It is for another decision about this release."""
    USED = "used"
    LATE = "late"
    CHANGED = "changed"
    """The release has changed since it was shown with the code."""


REFUSALS = {
    CodeState.MISSING: "a code is missing",
    CodeState.WRONG: "there is no such code for this release",
    CodeState.OTHER: "the code is for another reviewer, choice or number of days",
    CodeState.USED: "the code was used before",
    CodeState.LATE: "the code is late: the signal must be received within ten minutes after the code was issued",
    CodeState.CHANGED: "the release has changed since the code was shown: other files, or other findings",
}


def refusal(state: CodeState, release: Release, answer: str | None = None) -> str:
    """Return why a code does not decide, with the outcome of its first use or how to get another code."""
    scope = f"{release[0]}=={release[1]}"
    if state is CodeState.USED and answer:
        return f"{REFUSALS[state]}, and then: {answer}"
    return (
        f"refused: {REFUSALS[state]}. Get a code on the release's page of the panel, from POST /api/v1/codes, or with: "
        f"koschey code approve|reject|extend '{scope}'"
    )


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """A code with everything that it is bound to. It is shown once, because only its digest is stored."""

    code: str
    reviewer: str
    choice: Choice
    days: float | None
    expires_at: datetime
    releases: tuple[ShownRelease, ...]


async def issue_code(
    connection: Connection,
    actor: Actor,
    choice: Choice,
    releases: Sequence[Release],
    feed: Feed | None,
    days: float | None,
) -> IssuedCode:
    """Create a code for one decision about each of the releases, and return it with the releases to show with it.

    Raises `NotAllowed` if the reviewer may not decide about one of them, `NotKnown` if one does not exist, and
    `UsageError` if no signal can decide this, nothing is held, or the reviewer has too many codes.
    """
    _check(choice, releases, days)
    async with connection.transaction():
        await authorize_actor(connection, actor, Action.DECIDE, *{project for project, _ in releases})
        if await count_open_codes(connection, actor.name, actor.door, LIFETIME) >= MOST_OPEN:
            raise UsageError(f"{actor.name} has {MOST_OPEN} unused codes; wait until some have expired")
        shown = await show_releases(connection, releases, feed)
        _check_held(shown)
        code = new_code()
        digest = digest_code(code)
        assert digest is not None
        covered = [(release.project, release.version, release.digest) for release in shown]
        new = NewCodeRow(digest, actor.name, actor.door, choice, days)
        await delete_old_codes(connection, KEPT)
        issued_at = await insert_code(connection, new, covered)
    return IssuedCode(code, actor.name, choice, days, issued_at + LIFETIME, tuple(shown))


def check_codes_decide(mode: SignalDecisions) -> None:
    """Raise `UsageError` if signals cannot decide, so that codes are useless."""
    if mode is SignalDecisions.OFF:
        raise UsageError(
            "decisions by signal are switched off (KOSCHEY_DECISIONS_BY_SIGNAL=off); decide in the panel, by the API "
            "or with koschey"
        )


def _check(choice: Choice, releases: Sequence[Release], days: float | None) -> None:
    if choice not in CHOICES:
        raise UsageError(f"{choice} cannot be decided by a signal; choose one of {', '.join(CHOICES)}")
    if not 1 <= len(releases) <= MOST_RELEASES:
        raise UsageError(f"a code is for 1 to {MOST_RELEASES} releases, not for {len(releases)}")
    if len(set(releases)) != len(releases):
        raise UsageError("a release is named twice")
    if choice is Choice.EXTEND and not (days is not None and 0 < days <= MAX_EXTENSION):
        raise UsageError(f"give the number of days: more than 0, and at most {MAX_EXTENSION:g}")
    if choice is not Choice.EXTEND and days is not None:
        raise UsageError(f"{choice} accepts no number of days")


def _check_held(shown: Sequence[ShownRelease]) -> None:
    for release in shown:
        if not any(file.state is State.HELD for file in release.files):
            raise UsageError(
                f"no file of {release.project}=={release.version} is held, so no workflow reads signals about it; "
                "decide in the panel, by the API or with koschey"
            )


def judge_code(row: CodeRow | None, choice: str, reviewer: str, days: float | None) -> CodeState:
    """Return whether a code proves a decision, regardless of when the signal was received."""
    if row is None:
        return CodeState.WRONG
    if (row.reviewer, row.choice, row.days) != (reviewer, choice, days):
        return CodeState.OTHER
    return CodeState.RIGHT if row.used_at is None else CodeState.USED


async def is_in_time(row: CodeRow, age: Age) -> bool:
    """Return whether the signal was received in time, however long it was unread since.

    If the code itself is young enough, `age` is not called. Otherwise this waits for Temporal, so no transaction may be
    open.
    """
    if row.age <= LIFETIME:
        return True
    received = await age()
    return received is not None and row.age - received <= LIFETIME


async def was_received_in_time(db: Database, code: str, decision: Decision, age: Age) -> bool:
    """Return whether the signal with a code was received in time; False if there is no such code."""
    digest = digest_code(code)
    if digest is None or decision.version is None:
        return False
    row = (await select_codes(db, [digest], decision.project, decision.version)).get(digest)
    return row is not None and await is_in_time(row, age)


async def redeem_code(
    connection: Connection, code: str, reviewer: str, decision: Decision, feed: Feed | None, *, in_time: bool
) -> str:
    """Carry out the decision that a code proves; return the outcome, or why the code proves nothing.

    `in_time` says whether the signal was received in time. The first signal that carries a code in time uses it up,
    even if the decision cannot be made. A wrong or late code changes nothing.
    """
    assert decision.version is not None
    release = decision.project, decision.version
    digest = digest_code(code)
    if digest is None:
        return refusal(CodeState.WRONG if code else CodeState.MISSING, release)
    async with connection.transaction():
        row = await lock_code(connection, digest, *release)
        state = judge_code(row, decision.choice, reviewer, decision.days)
        if state is CodeState.RIGHT and not in_time:
            state = CodeState.LATE
        if row is None or state is not CodeState.RIGHT:
            return refusal(state, release, row.answer if row else None)
        answer = await _carry_out(connection, row, decision, feed)
        await update_used(connection, digest, *release, answer)
    return answer


async def _carry_out(connection: Connection, row: CodeRow, decision: Decision, feed: Feed | None) -> str:
    """Decide if the release is still as it was shown; otherwise return why not. The code is used up in both cases."""
    assert decision.version is not None
    # The actor is the account, by a code; or the command line, for which no account is checked.
    actor = Actor(row.reviewer, COMMAND_LINE if row.door == COMMAND_LINE else "code")
    try:
        async with connection.transaction():
            await projects.lock_project(connection, decision.project)
            [shown] = await show_releases(connection, [(decision.project, decision.version)], feed)
            if shown.digest != row.shown:
                return refusal(CodeState.CHANGED, (decision.project, decision.version))
            return str(await decide(connection, actor, decision))
    except UsageError as error:
        return f"refused: {error}"
