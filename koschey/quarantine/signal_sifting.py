"""Chooses which of many signals to one release may decide, with a few statements however many signals there are.

A flood of thousands of signals costs one statement. A chosen signal is checked again when its decision is carried out.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from packaging.utils import NormalizedName

from koschey.auth.authorization import select_authorized
from koschey.auth.codes import digest_code
from koschey.auth.permissions import Action
from koschey.db.pool import Database
from koschey.db.reviewer_codes import CodeRow, select_codes
from koschey.quarantine.reviewer_codes import CHOICES, CodeState, is_in_time, judge_code, refusal
from koschey.quarantine.shown_releases import Release

UNKNOWN = "refused: no reviewer has this name here, or the reviewer may not decide this"
GUESSES = frozenset({CodeState.WRONG, CodeState.OTHER})

type AgeOf = Callable[[str, str], Awaitable[timedelta | None]]
"""Returns how long ago a code was received by a run."""


@dataclass(frozen=True)
class Candidate:
    """The decision that a signal requests, and its proof."""

    choice: str
    reviewer: str
    code: str = ""
    days: float | None = None
    received_in: str = ""


@dataclass(frozen=True)
class Refusal:
    """One answer to the signals at these positions."""

    text: str
    positions: list[int]


@dataclass(frozen=True)
class Sifted:
    """Which signals may decide, by their positions, and the answers to the others."""

    chosen: list[int] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    wrong: int = 0
    """How many of the refused signals carried a wrong code."""
    pause: float = 0.0
    """Seconds to wait before the next signals are sifted."""

    @classmethod
    def refusing(cls, text: str, number: int) -> "Sifted":
        """Return a result that refuses all of so many signals."""
        return cls(refusals=[Refusal(text, list(range(number)))])

    def with_pause(self, seconds: float) -> "Sifted":
        """Return the same, with a pause."""
        return replace(self, pause=seconds)


async def sift_by_account(db: Database, project: NormalizedName, candidates: Sequence[Candidate]) -> Sifted:
    """Choose the signals whose reviewer exists and may decide about the project."""
    named = {candidate.reviewer for candidate in candidates if candidate.reviewer.isprintable()}
    may = await select_authorized(db, named, Action.DECIDE, project)
    chosen = [place for place, candidate in enumerate(candidates) if candidate.reviewer in may]
    others = [place for place, candidate in enumerate(candidates) if candidate.reviewer not in may]
    return Sifted(chosen, [Refusal(UNKNOWN, others)] if others else [])


async def sift_by_code(db: Database, release: Release, candidates: Sequence[Candidate], age_of: AgeOf) -> Sifted:
    """Choose the signals with an unused code for the decision that they request, if they were received in time."""
    digests = {digest for candidate in candidates if (digest := digest_code(candidate.code))}
    rows = await select_codes(db, sorted(digests), *release)
    chosen: list[int] = []
    answers: dict[str, list[int]] = {}
    wrong = 0
    for place, candidate in enumerate(candidates):
        row = rows.get(digest_code(candidate.code) or "")
        state = await _state(row, candidate, age_of)
        if state is CodeState.RIGHT:
            chosen.append(place)
            continue
        wrong += state in GUESSES
        answers.setdefault(refusal(state, release, row.answer if row else None), []).append(place)
    return Sifted(chosen, [Refusal(text, places) for text, places in answers.items()], wrong)


async def _state(row: CodeRow | None, candidate: Candidate, age_of: AgeOf) -> CodeState:
    if not candidate.code:
        return CodeState.MISSING
    if candidate.choice not in CHOICES:
        return CodeState.OTHER
    state = judge_code(row, candidate.choice, candidate.reviewer, candidate.days)
    if row is None or state is not CodeState.RIGHT:
        return state
    age = partial(age_of, candidate.code, candidate.received_in)
    return CodeState.RIGHT if await is_in_time(row, age) else CodeState.LATE
