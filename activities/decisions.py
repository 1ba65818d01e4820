"""Decisions that came by way of Temporal: whoever reaches it can send them, so each is checked as at every door."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from koschey.db import files, projects
from koschey.db.decisions import select_repeated
from koschey.db.pool import Connection, Pool
from koschey.errors import UsageError
from koschey.model import Actor, State
from koschey.publish.decide import Choice, Decision, decide
from koschey.standards.names import parse_name

REPEATED = timedelta(hours=1)
"""How long after a decision the very same one, with nothing decided in between, is taken for its repetition."""
LONGEST = 300
"""Characters of an answer that is one of many."""
CHOICES = frozenset({Choice.APPROVE, Choice.BLOCK, Choice.EXTEND})
"""What may be decided through Temporal; the rest has doors that know who comes."""


@dataclass(frozen=True)
class SignalledDecision:
    """A decision that came as a signal. The activity checks what the reviewer may do; a signal proves nothing."""

    project: str
    version: str
    choice: str
    reviewer: str
    reason: str
    days: float | None = None
    """For how many days from now a quarantine goes on at least; of `extend` only."""


@dataclass(frozen=True)
class DecisionActivities:
    """Decides through the same function as every other door."""

    pool: Pool
    decisions_by_signal: bool

    @activity.defn
    async def decide_release(self, decision: SignalledDecision) -> str:
        """Carry out a decision; returns what it changed, or why it changed nothing."""
        if not self.decisions_by_signal:
            return "decisions by signal are switched off (KOSCHEY_DECISIONS_BY_SIGNAL)"
        try:
            wanted = _read(decision)
            async with self.pool.acquire() as connection, connection.transaction():
                return await _decide_once(connection, Actor(decision.reviewer, "signal"), wanted)
        except UsageError as error:
            return f"refused: {error}"

    @activity.defn
    async def decide_releases(self, decisions: list[SignalledDecision]) -> list[str]:
        """Carry out decisions in their order; returns what became of each."""
        answers: list[str] = list(*activity.info().heartbeat_details)
        for decision in decisions[len(answers) :]:
            answers.append((await self.decide_release(decision))[:LONGEST])
            activity.heartbeat(answers)
        return answers


def _read(decision: SignalledDecision) -> Decision:
    """Turn words that anybody may have written into a decision. Raises `UsageError` with what is wrong."""
    if decision.choice not in CHOICES:
        raise UsageError(f"{decision.choice!r} is none of {', '.join(sorted(CHOICES))}")
    for name, text in (("reviewer", decision.reviewer), ("reason", decision.reason), ("version", decision.version)):
        if not all(character.isprintable() or character in "\n\r\t" for character in text):
            raise UsageError(f"the {name} holds characters that cannot be shown")
    return Decision(
        Choice(decision.choice), parse_name(decision.project), decision.version, decision.reason, days=decision.days
    )


async def _decide_once(connection: Connection, actor: Actor, decision: Decision) -> str:
    """Decide, unless this is only the repetition of the last decision: a signal sent twice, or a lost answer."""
    await projects.lock_project(connection, decision.project)
    assert decision.version is not None
    repeated = await select_repeated(
        connection, actor, decision.choice, decision.project, decision.version, decision.reason, REPEATED
    )
    if repeated is not None and await _is_in_force(connection, decision):
        return f"nothing to change: serial {repeated} decided it already"
    return str(await decide(connection, actor, decision))


async def _is_in_force(connection: Connection, decision: Decision) -> bool:
    """Tell whether the files are held for as long as is asked for, but for the time since it was first asked."""
    if decision.days is None:
        return True
    until = await projects.select_now(connection) + timedelta(days=decision.days) - REPEATED
    known = await files.lock_release_files(connection, decision.project, decision.version)
    held = [item.standing.held_until for item in known if item.standing.state is State.HELD]
    return all(held_until is not None and held_until > until for held_until in held)
