"""Block, recall, unblock: no file in the scope is served, not even a future one, until the block is lifted.

A recall blocks files that turned out to be harmful. It raises an alert, and two people are needed to lift it. Two
people are also needed to lift any block of files that were reported as malicious.
"""

from koschey.db import rules
from koschey.db.advisories import select_advisories
from koschey.db.decisions import select_recalled
from koschey.db.proposals import close_proposals
from koschey.errors import UsageError
from koschey.events import AlertKind
from koschey.model import Origin, StandingFile, State
from koschey.policy.advisories import reported
from koschey.policy.rules import Rule, RuleKind, Rules
from koschey.quarantine.choices.change import DecisionChange
from koschey.quarantine.choices.second_person import agree
from koschey.quarantine.decision import DecisionOutcome

SERVABLE = (State.HELD, State.RELEASED, State.MALFORMED, State.CONFLICT)
"""States of the files that a block changes; a removed file stays removed."""


async def block(change: DecisionChange) -> DecisionOutcome:
    """Stop serving every file in the scope. This lifts exceptions, and closes proposals to a second person."""
    active_rules, moved = await change.active(), change.in_state(*SERVABLE)
    excepted = _excepted(change, active_rules)
    if not moved and not excepted and change.says_the_same(change.own_rule(RuleKind.BLOCKED, active_rules)):
        return DecisionOutcome(None, ())
    return await _close(change, moved, excepted)


async def recall(change: DecisionChange) -> DecisionOutcome:
    """Block the scope, and raise an alert. `koschey.db.downloads` has the clients that downloaded its files."""
    change.require_known()
    active_rules, moved = await change.active(), change.in_state(*SERVABLE)
    excepted = _excepted(change, active_rules)
    known = await _is_recalled(change, {change.decision.version})
    if known and not moved and not excepted and change.own_rule(RuleKind.BLOCKED, active_rules):
        return DecisionOutcome(None, ())
    return await _close(change, moved, excepted, alert=AlertKind.RECALL)


async def unblock(change: DecisionChange) -> DecisionOutcome:
    """Lift a block. Its files are held until a person approves them."""
    active_rules, version = await change.active(), change.decision.version
    own = change.own_rule(RuleKind.BLOCKED, active_rules)
    remaining = Rules(tuple(rule for rule in active_rules.rules if rule is not own))
    if version and (rule := remaining.find(RuleKind.BLOCKED, version)):
        raise UsageError(f"the whole project is blocked by {rule.actor} ({rule.reason}); unblock the project")
    blocked = change.in_state(State.BLOCKED)
    moved = [known for known in blocked if not remaining.find(RuleKind.BLOCKED, known.file.version)]
    if not own and not moved:
        return DecisionOutcome(None, ())
    lifted = {version, *(known.file.version for known in moved)}
    if await _is_recalled(change, lifted) or await _is_reported(change, active_rules, lifted):
        agreed = await agree(change, moved)
        if isinstance(agreed, DecisionOutcome):
            return agreed
        change = agreed
    if own:
        await rules.delete_rule(change.connection, RuleKind.BLOCKED, change.decision.project, version)
    await change.move(moved, State.HELD)
    return await change.record(moved, whole=True)


async def _close(
    change: DecisionChange, moved: list[StandingFile], excepted: list[Rule], *, alert: AlertKind | None = None
) -> DecisionOutcome:
    decision = change.decision
    # The rule is for future files: later files of the release, later releases of the project.
    await change.put_rule(RuleKind.BLOCKED)
    for rule in excepted:
        await rules.delete_rule(change.connection, RuleKind.EXCEPTION, rule.scope, rule.version, rule.subject)
    await close_proposals(change.connection, decision.project, decision.version, None, change.actor.name)
    await change.move(moved, State.BLOCKED)
    lifted = [f"{rule.subject}, by {rule.actor}: {rule.reason}" for rule in excepted]
    return await change.record(moved, {"lifted_exceptions": lifted} if lifted else {}, whole=True, alert=alert)


def _excepted(change: DecisionChange, active_rules: Rules) -> list[Rule]:
    """Return the exceptions for files of the scope."""
    exceptions = (rule for rule in active_rules.rules if rule.kind is RuleKind.EXCEPTION)
    return [rule for rule in exceptions if change.decision.version in (None, rule.version)]


async def _is_recalled(change: DecisionChange, versions: set[str | None]) -> bool:
    """Return whether one of the versions, or the whole project, has a recall or report that was never lifted."""
    recalled = await select_recalled(change.connection, change.decision.project)
    return None in recalled or bool(recalled & versions)


async def _is_reported(change: DecisionChange, active_rules: Rules, versions: set[str | None]) -> bool:
    """Return whether an advisory calls one of the versions malicious now.

    A file that was blocked for that at its admission, or when its window ended, was never served, so it has no recall.
    """
    if change.origin is not Origin.MIRRORED:
        return False
    about = await select_advisories(change.connection, change.decision.project)
    return bool(reported(about, {version for version in versions if version}, active_rules))
