"""Extend: held files stay held at least until a given time. An extension never shortens a quarantine."""

from datetime import datetime, timedelta

from koschey.causes import Grounds
from koschey.db import projects, standings
from koschey.errors import UsageError
from koschey.model import StandingFile, State
from koschey.policy.rules import RuleKind
from koschey.policy.verdict import trusted_by
from koschey.quarantine.choices.change import DecisionChange
from koschey.quarantine.decision import DecisionOutcome
from koschey.standards.simple_json import format_time


async def extend(change: DecisionChange) -> DecisionOutcome:
    """Keep held files held for at least so many days from now, whatever windows the rules give now or later.

    A file that has no release time, so that only a person releases it, still has none.
    """
    change.require_known()
    decision, days = change.decision, change.decision.days
    assert decision.version is not None
    assert days is not None
    if rule := (await change.active()).find(RuleKind.TRUSTED, decision.version):
        raise UsageError(
            f"no window holds a release that is {trusted_by(rule)}; untrust the project first, or block the release"
        )
    until = await projects.select_now(change.connection) + timedelta(days=days)
    later = [known for known in change.in_state(State.HELD) if _ends_before(known, until)]
    if not later:
        return DecisionOutcome(None, ())
    await standings.update_windows(
        change.connection, [(item.file.id, _release_at(item, until), until) for item in later]
    )
    reason = f"extended by {change.actor.name} until {until:%Y-%m-%d %H:%M} UTC: {decision.reason}"
    for known in later:
        await standings.update_held_reason(change.connection, known.file.id, Grounds(change.cause, reason))
    return await change.record(later, {"held_until": format_time(until)}, done="held longer")


def _ends_before(known: StandingFile, until: datetime) -> bool:
    held_until = known.standing.held_until
    return held_until is None or held_until < until


def _release_at(known: StandingFile, until: datetime) -> datetime | None:
    return max(known.standing.release_at, until) if known.standing.release_at else None
