"""Previews a change of the policy: which files appear, which disappear, which are released at another time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from koschey.db import projects, rules, scopes
from koschey.db.findings import select_known_checks
from koschey.db.policies import policy_of
from koschey.db.pool import Connection
from koschey.errors import Stale
from koschey.governance.terms import Terms, parse_rules
from koschey.model import Actor, State
from koschey.policy.advisories import Feed
from koschey.policy.changes import RuleChange, carry_out, compare, replaceable, tag_of, touched_by
from koschey.policy.prediction import Prediction, about, predict
from koschey.policy.rules import CLOSING, Rule, Rules
from koschey.policy.verdict import NOTHING_KNOWN
from koschey.quarantine.evidence import gather_evidence


@dataclass(frozen=True, slots=True)
class Usual:
    """The settings that apply if no rule says otherwise."""

    window: timedelta
    feed: Feed | None
    """The feed of advisories; None if none is configured."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change of the policy would do by settling alone."""

    changes: Sequence[RuleChange]
    predictions: Sequence[Prediction]
    tag: int
    """The tag of the current policy."""


async def preview_terms(
    connection: Connection, actor: Actor, terms: Sequence[Terms], usual: Usual, expected: int | None
) -> Preview:
    """Parse the rules and do as `preview_policy`. Also raises `UsageError` if one of them is not a valid rule."""
    wanted = parse_rules(terms, actor.name, await projects.select_now(connection))
    return await preview_policy(connection, wanted, usual, expected)


async def preview_policy(
    connection: Connection, wanted: Sequence[Rule], usual: Usual, expected: int | None = None
) -> Preview:
    """Return what `apply_policy` would do, and change nothing. Raises `Stale` if the policy has another tag."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        current = (await rules.select_all_rules(connection)).rules
        check_tag(replaceable(current), expected)
        changes = compare(replaceable(current), wanted)
        touched = touched_by(changes)
        reaches_released = any(rule.kind in CLOSING for rule in touched)
        states = (State.HELD, State.RELEASED) if reaches_released else (State.HELD,)
        found = await predict_covered(connection, touched, states, (current, carry_out(current, changes)), usual)
        return Preview(
            changes, [prediction for prediction in found if prediction.matters], tag_of(replaceable(current))
        )


def check_tag(policy: Sequence[Rule], expected: int | None) -> None:
    """Raise `Stale` if a policy does not have the tag that a person saw; None accepts any policy."""
    if expected is not None and tag_of(policy) != expected:
        raise Stale("the policy has changed since it was read; read it again, then decide")


async def predict_covered(
    connection: Connection,
    covering: Sequence[Rule],
    states: Sequence[State],
    rules_before_and_after: tuple[Sequence[Rule], Sequence[Rule]],
    usual: Usual,
) -> Sequence[Prediction]:
    """Return the prediction for every file that is in one of the states and that a rule covers. Needs a transaction."""
    checks, now = await select_known_checks(connection), await projects.select_now(connection)
    found: list[Prediction] = []
    async for project, items in scopes.stream_covered(connection, covering, states):
        held = [item for item in items if item.standing.state is State.HELD]
        bare = policy_of(project, Rules(), checks)
        bare, evidence = await gather_evidence(connection, held, bare, usual.feed, now)
        before, after = (about(rules, bare, project.name) for rules in rules_before_and_after)
        found += [
            predict(item, before, after, usual.window, now, evidence.get(item.file.id, NOTHING_KNOWN)) for item in items
        ]
    return found
