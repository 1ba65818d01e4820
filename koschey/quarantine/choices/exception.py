"""Except: exactly these bytes are served for a limited time although they are held. Their state does not change."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from koschey.db import projects, rules
from koschey.errors import NotKnown, UsageError
from koschey.model import StandingFile, State
from koschey.policy.rules import Rule, RuleKind, Rules
from koschey.quarantine.choices.change import DecisionChange
from koschey.quarantine.choices.second_person import agree_by_policy
from koschey.quarantine.decision import Decision, DecisionOutcome
from koschey.standards.simple_json import format_time


async def make_exception(change: DecisionChange) -> DecisionOutcome:
    """Serve the held files of a release, or one of them, until the exception expires or a block lifts it."""
    change.require_known()
    active_rules = await change.active()
    change.require_open(active_rules)
    held = _require_there(change, _select(change))
    if not held:
        return DecisionOutcome(None, ())
    agreed = await agree_by_policy(change, active_rules, held, ends_at=await _end(change))
    if isinstance(agreed, DecisionOutcome):
        return agreed
    ends_at = await _end(agreed)
    made = [rule for rule in _rules(agreed, held, ends_at) if not _is_active(rule, active_rules)]
    if not made:
        return DecisionOutcome(None, ())
    for rule in made:
        await rules.write_rule(change.connection, rule)
    bound = [known for known in held if known.file.filename in {rule.subject for rule in made}]
    return await agreed.record(bound, {"expires_at": format_time(ends_at)}, done="excepted")


def _select(change: DecisionChange) -> list[StandingFile]:
    """Return the held files that the exception is for."""
    decision, held = change.decision, change.in_state(State.HELD)
    if decision.filename is None:
        fetched = [known for known in held if known.file.sha256]
        if held and not fetched:
            raise _not_fetched(held[0])
        return fetched
    named = next((known for known in change.known if known.file.filename == decision.filename), None)
    if named is None:
        raise NotKnown(f"{decision.scope} has no file {decision.filename!r} here")
    if named.file.sha256 is None:
        raise _not_fetched(named)
    _require_same(decision, named)
    return [named] if named in held else []


def _require_same(decision: Decision, named: StandingFile) -> None:
    if decision.sha256 and decision.sha256.lower() != named.file.sha256:
        raise UsageError(
            f"{named.file.filename} has the sha256 {named.file.sha256}, not {decision.sha256}; check it again"
        )


def _require_there(change: DecisionChange, held: Sequence[StandingFile]) -> Sequence[StandingFile]:
    """Raise `UsageError` if the upstream removed a file: it will be blocked in spite of any exception."""
    if gone := [known for known in held if known.file.is_gone]:
        raise UsageError(f"the upstream of {change.decision.project} has removed {gone[0].file.filename}")
    return held


def _not_fetched(known: StandingFile) -> UsageError:
    return UsageError(f"{known.file.filename} is not downloaded yet; an exception needs its sha256, try again soon")


async def _end(change: DecisionChange) -> datetime:
    """Return when the exception expires: at the earlier of the times that the two persons gave, if there are two."""
    assert change.decision.days is not None
    end = await projects.select_now(change.connection) + timedelta(days=change.decision.days)
    proposed = change.seconds.expires_at if change.seconds else None
    return min(end, proposed) if proposed else end


def _rules(change: DecisionChange, held: Sequence[StandingFile], ends_at: datetime) -> list[Rule]:
    return [
        Rule(
            RuleKind.EXCEPTION,
            known.file.version,
            change.reason,
            change.author.name,
            scope=change.decision.project,
            subject=known.file.filename,
            value=known.file.sha256 or "",
            expires_at=ends_at,
            ticket=change.ticket,
            seconded_by=change.seconded_by,
        )
        for known in held
    ]


def _is_active(rule: Rule, active_rules: Rules) -> bool:
    return rule in active_rules.rules
