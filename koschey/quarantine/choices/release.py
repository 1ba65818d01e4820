"""Approve, trust, untrust: a release is let out now, a project's releases are, or are not any more."""

from koschey.db import rules
from koschey.errors import UsageError
from koschey.model import State
from koschey.policy.rules import RuleKind
from koschey.quarantine.choices.change import Change
from koschey.quarantine.choices.second_person import agree_by_policy
from koschey.quarantine.decision import Outcome


async def approve(change: Change) -> Outcome:
    """Release what is held of one release, each file bound by its sha256."""
    change.require_known()
    in_force = await change.in_force()
    change.require_open(in_force)
    held = change.in_state(State.HELD)
    if unknown := [known for known in held if known.file.sha256 is None or known.file.path is None]:
        raise UsageError(f"{unknown[0].file.filename} is not fetched yet; an approval binds its sha256, try again soon")
    if not held:
        return Outcome(None, ())
    agreed = await agree_by_policy(change, in_force, held)
    if isinstance(agreed, Outcome):
        return agreed
    await agreed.move(held, State.RELEASED)
    return await agreed.record(held)


async def trust(change: Change) -> Outcome:
    """Release what is held, and what is to come."""
    in_force = await change.in_force()
    ready = [
        known
        for known in change.in_state(State.HELD)
        if known.file.has_known_bytes and not in_force.find(RuleKind.BLOCKED, known.file.version)
    ]
    if not ready and change.says_the_same(change.own_rule(RuleKind.TRUSTED, in_force)):
        return Outcome(None, ())
    # Trust lets out as an approval does, and must not be a way around the second person.
    agreed = await agree_by_policy(change, in_force, ready)
    if isinstance(agreed, Outcome):
        return agreed
    await agreed.put_rule(RuleKind.TRUSTED)
    await agreed.move(ready, State.RELEASED)
    return await agreed.record(ready)


async def untrust(change: Change) -> Outcome:
    """What was let out stays out; files to come are held again."""
    kind, decision = RuleKind.TRUSTED, change.decision
    if not await rules.delete_rule(change.connection, kind, decision.project, decision.version):
        return Outcome(None, ())
    return await change.record([])
