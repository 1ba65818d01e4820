"""Approve releases one release now, trust releases those of a project from now on, and untrust ends the trust."""

from koschey.db import rules
from koschey.errors import UsageError
from koschey.model import State
from koschey.policy.rules import RuleKind
from koschey.quarantine.choices.change import DecisionChange
from koschey.quarantine.choices.second_person import agree_by_policy
from koschey.quarantine.decision import DecisionOutcome


async def approve(change: DecisionChange) -> DecisionOutcome:
    """Release the held files of one release. The approval binds each file by its SHA-256."""
    change.require_known()
    active_rules = await change.active()
    change.require_open(active_rules)
    held = change.in_state(State.HELD)
    if unknown := [known for known in held if known.file.sha256 is None or known.file.path is None]:
        raise UsageError(
            f"{unknown[0].file.filename} is not downloaded yet; an approval needs its sha256, try again soon"
        )
    if not held:
        return DecisionOutcome(None, ())
    agreed = await agree_by_policy(change, active_rules, held)
    if isinstance(agreed, DecisionOutcome):
        return agreed
    await agreed.move(held, State.RELEASED)
    return await agreed.record(held)


async def trust(change: DecisionChange) -> DecisionOutcome:
    """Release the held files, and future files when their checks are complete."""
    active_rules = await change.active()
    ready = [
        known
        for known in change.in_state(State.HELD)
        if known.file.has_known_bytes and not active_rules.find(RuleKind.BLOCKED, known.file.version)
    ]
    if not ready and change.says_the_same(change.own_rule(RuleKind.TRUSTED, active_rules)):
        return DecisionOutcome(None, ())
    # Trust releases files as an approval does, and must not be a way around the second person.
    agreed = await agree_by_policy(change, active_rules, ready)
    if isinstance(agreed, DecisionOutcome):
        return agreed
    await agreed.put_rule(RuleKind.TRUSTED)
    await agreed.move(ready, State.RELEASED)
    return await agreed.record(ready)


async def untrust(change: DecisionChange) -> DecisionOutcome:
    """End the trust. Released files stay released; future files are held again."""
    kind, decision = RuleKind.TRUSTED, change.decision
    if not await rules.delete_rule(change.connection, kind, decision.project, decision.version):
        return DecisionOutcome(None, ())
    return await change.record([])
