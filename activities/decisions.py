"""Carries out decisions that arrive by signal.

Temporal does not identify the sender of a signal. The setting says what a signal has to prove: it must carry a code
that was shown to a reviewer (`koschey.quarantine.reviewer_codes`); it needs no code if Temporal has logins of its own;
or decisions by signal are switched off.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from temporalio import activity

from activities.receipts import Receipts
from koschey.auth.guesses import Guesses
from koschey.db import files, projects
from koschey.db.decisions import select_repeated
from koschey.db.pool import Connection, Pool
from koschey.errors import UsageError
from koschey.model import Actor, State
from koschey.policy.advisories import Feed
from koschey.quarantine.decide import Choice, Decision, decide
from koschey.quarantine.reviewer_codes import CHOICES, redeem_code, was_received_in_time
from koschey.quarantine.signal_sifting import Candidate, Sifted, sift_by_account, sift_by_code
from koschey.settings.signal_decisions import SignalDecisions
from koschey.standards.names import parse_name

__all__ = ["Candidate", "DecisionActivities", "Sifted", "SignalBatch", "SignalledDecision", "parse_signalled"]

log = structlog.get_logger()

REPEATED = timedelta(hours=1)
"""How long after a decision an equal one, with no other decision in between, counts as a repetition of it."""
LONGEST = 300
"""Maximum length in characters of one answer among many."""
OFF = "decisions by signal are switched off (KOSCHEY_DECISIONS_BY_SIGNAL)"
PAUSE = 1.0
"""Seconds for which signals are pending after too many wrong codes; then one call checks all of them."""


@dataclass(frozen=True)
class SignalledDecision:
    """A decision that arrived as a signal. It proves nothing; the activity verifies its contents."""

    project: str
    version: str
    choice: str
    reviewer: str
    reason: str
    days: float | None = None
    """Days from now for which the quarantine continues at least; only for `extend`."""
    code: str = ""
    """The code as the reviewer typed it; empty if there is none."""
    received_in: str = ""
    """The id of the run that received the signal; empty for the current run."""


@dataclass(frozen=True)
class SignalBatch:
    """The choices of many signals to one release, without their reasons: thousands fit into one call."""

    project: str
    version: str
    candidates: list[Candidate]


@dataclass(frozen=True)
class DecisionActivities:
    """Decides through `decide`, the function that the panel, the API and the command line use."""

    pool: Pool
    guesses: Guesses
    mode: SignalDecisions
    feed: Feed | None = None

    @activity.defn
    async def sift_signals(self, batch: SignalBatch) -> Sifted:
        """Find out which of many signals may decide. A few SQL statements do so for all of them."""
        if self.mode is SignalDecisions.OFF:
            return Sifted.refusing(OFF, len(batch.candidates))
        try:
            _check_printable("version", batch.version)
            project = parse_name(batch.project)
        except UsageError as error:  # any client can start a workflow with any input
            return Sifted.refusing(f"refused: {error}", len(batch.candidates))
        if self.mode is SignalDecisions.TRUSTED:
            return await sift_by_account(self.pool, project, batch.candidates)
        sifted = await sift_by_code(self.pool, (project, batch.version), batch.candidates, Receipts().age)
        if sifted.wrong and await self.guesses.count_codes(f"{project}=={batch.version}", sifted.wrong):
            log.warning("many wrong codes are sent in signals", project=batch.project, version=batch.version)
            return sifted.with_pause(PAUSE)
        return sifted

    @activity.defn
    async def decide_releases(self, decisions: list[SignalledDecision]) -> list[str]:
        """Carry out decisions in their order; return the answer to each."""
        answers: list[str] = list(*activity.info().heartbeat_details)
        receipts = Receipts()
        for decision in decisions[len(answers) :]:
            answers.append((await self._decide(decision, receipts))[:LONGEST])
            activity.heartbeat(answers)
        return answers

    async def _decide(self, decision: SignalledDecision, receipts: Receipts) -> str:
        if self.mode is SignalDecisions.OFF:
            return OFF
        try:
            wanted = parse_signalled(decision)
            if self.mode is SignalDecisions.TRUSTED:
                async with self.pool.acquire() as connection, connection.transaction():
                    return await _decide_once(connection, Actor(decision.reviewer, "signal"), wanted)
            age = partial(receipts.age, decision.code, decision.received_in)
            in_time = await was_received_in_time(self.pool, decision.code, wanted, age)
            async with self.pool.acquire() as connection:
                return await redeem_code(
                    connection, decision.code, decision.reviewer, wanted, self.feed, in_time=in_time
                )
        except UsageError as error:
            return f"refused: {error}"


def parse_signalled(decision: SignalledDecision) -> Decision:
    """Parse a decision that any client may have written. Raises `UsageError` that says what is wrong."""
    if decision.choice not in CHOICES:
        raise UsageError(f"{decision.choice!r} is not one of {', '.join(sorted(CHOICES))}")
    for name, text in (("reviewer", decision.reviewer), ("version", decision.version)):
        _check_printable(name, text)
    wanted = Decision(
        Choice(decision.choice), parse_name(decision.project), decision.version, decision.reason, days=decision.days
    )
    return wanted.checked()


def _check_printable(name: str, text: str) -> None:
    if not all(character.isprintable() or character in "\n\r\t" for character in text):
        raise UsageError(f"the {name} contains characters that cannot be shown")


async def _decide_once(connection: Connection, actor: Actor, decision: Decision) -> str:
    """Decide, unless the decision only repeats the last one: a signal was sent twice, or its answer was lost."""
    await projects.lock_project(connection, decision.project)
    assert decision.version is not None
    repeated = await select_repeated(
        connection, actor, decision.choice, decision.project, decision.version, decision.reason, REPEATED
    )
    if repeated is not None and await _is_in_force(connection, decision):
        return f"nothing to change: serial {repeated} decided it already"
    return str(await decide(connection, actor, decision))


async def _is_in_force(connection: Connection, decision: Decision) -> bool:
    """Return whether the files are held for the requested time, less the `REPEATED` since the first decision."""
    if decision.days is None:
        return True
    until = await projects.select_now(connection) + timedelta(days=decision.days) - REPEATED
    known = await files.lock_release_files(connection, decision.project, decision.version)
    held = [item.standing.held_until for item in known if item.standing.state is State.HELD]
    return all(held_until is not None and held_until > until for held_until in held)
