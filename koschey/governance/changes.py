"""Changes the policy: one rule, or all of them at once.

A change is one transaction. It writes the rules, a decision and a journal row for each, and a message for every held
release that a changed rule covers, so that the release is judged again. Released files need no message, because every
surface computes the verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from koschey.auth.authorization import authorize_actor
from koschey.auth.permissions import Action
from koschey.db import decisions, projects, rules, scopes
from koschey.db.impacts import count_served_covered
from koschey.db.journal import Entry
from koschey.db.pool import Connection
from koschey.db.record import Record
from koschey.errors import NotKnown
from koschey.events import Event
from koschey.governance.effects import (
    NO_EFFECTS,
    Effects,
    closing,
    lifted_by,
    select_mirrored_names,
    select_still_blocked,
)
from koschey.governance.preview import Usual, check_tag, predict_covered
from koschey.governance.terms import (
    Terms,
    parse_expiry,
    parse_kind,
    parse_rule,
    parse_rule_scope,
    parse_rules,
    parse_subject,
)
from koschey.model import Actor, Serial, State
from koschey.policy.changes import RuleChange, carry_out, compare, replaceable, rule_key, tag_of, touched_by
from koschey.policy.reasons import Reason, parse_reason
from koschey.policy.rules import EVERYTHING, Rule, RuleKind
from koschey.quarantine.impact import FULL_CONSENT, Consent, Impact, measure

LETTING_THROUGH = (RuleKind.OBSERVED, RuleKind.EXCEPTION)
"""Kinds of rules under which held files are served."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a person has agreed to hide, and what the preview of it needs."""

    consent: Consent
    usual: Usual | None = None
    """If None, only files that a block or a reservation hides are foreseen."""
    expected: int | None = None
    """The tag of the policy that the person saw; None accepts any policy."""

    def check(self, policy: Sequence[Rule]) -> None:
        """Raise `Stale` if the policy is not the one that the person saw."""
        check_tag(policy, self.expected)


AGREED = Agreed(FULL_CONSENT)


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What a change of the policy did."""

    serial: Serial | None
    """None if nothing changed: the policy was already so."""
    changes: Sequence[RuleChange]
    tag: int
    """The tag of the policy after the change, for a later `Agreed.expected`."""
    rejudged: int
    """The number of held releases that the changed rules cover; they are judged again."""
    effects: Effects = NO_EFFECTS


async def set_rule(
    connection: Connection, actor: Actor, terms: Terms, agreed: Agreed = AGREED, *, expires: str | None = None
) -> PolicyOutcome:
    """Set one rule. It replaces the active rule of the same kind, scope and subject.

    `expires` is its expiry as a person writes it (`parse_expiry`), and replaces that of the terms.

    Raises `UsageError` if the terms describe no rule, `NotAllowed` if the actor may not manage its scope, `Stale` if
    the policy is not the one that `agreed` names, and `Unconfirmed` if the rule would hide served files and `agreed`
    does not allow that.
    """
    async with connection.transaction():
        now = await projects.select_now(connection)
        if expires is not None:
            terms = replace(terms, expires=parse_expiry(expires, now))
        rule = parse_rule(terms, actor.name, now)
        await authorize_actor(connection, actor, Action.MANAGE, rule.scope)
        changes = compare(await _in_place_of(connection, rule, agreed), [rule])
        return await _carry_out(connection, actor, changes, parse_reason(terms.reason), agreed)


async def unset_rule(
    connection: Connection,
    actor: Actor,
    kind: str,
    scope: str,
    subject: str | None,
    reason: str,
    agreed: Agreed = AGREED,
) -> PolicyOutcome:
    """Lift one rule. Raises as `set_rule` does, and `NotKnown` if there is no such rule."""
    why = parse_reason(reason)
    parsed = parse_kind(kind)
    name, version = parse_rule_scope(parsed, scope)
    lifted = Rule(parsed, version, why, actor.name, name, parse_subject(parsed, subject))
    async with connection.transaction():
        await authorize_actor(connection, actor, Action.MANAGE, name)
        before = await _in_place_of(connection, lifted, agreed)
        if not before:
            about_check = f" about {subject}" if subject else ""
            raise NotKnown(f"no rule {parsed} {scope.strip()}{about_check} is active; koschey policy show lists all")
        return await _carry_out(connection, actor, compare(before, []), why, agreed)


async def apply_policy(
    connection: Connection, actor: Actor, wanted: Sequence[Rule], reason: str, agreed: Agreed = AGREED
) -> PolicyOutcome:
    """Make exactly these rules the policy. Exceptions stay active. Raises as `set_rule` does."""
    why = parse_reason(reason)
    async with connection.transaction():
        await authorize_actor(connection, actor, Action.MANAGE, EVERYTHING)
        await rules.lock_policy(connection)
        current = await select_policy(connection)
        agreed.check(current)
        return await _carry_out(connection, actor, compare(current, wanted), why, agreed)


async def apply_terms(
    connection: Connection, actor: Actor, terms: Sequence[Terms], reason: str, agreed: Agreed
) -> PolicyOutcome:
    """Parse the rules and do as `apply_policy`. Also raises `UsageError` if one of them is not a valid rule."""
    wanted = parse_rules(terms, actor.name, await projects.select_now(connection))
    return await apply_policy(connection, actor, wanted, reason, agreed)


async def select_policy(connection: Connection) -> Sequence[Rule]:
    """Return the rules of the policy: all active rules except exceptions."""
    return replaceable((await rules.select_all_rules(connection)).rules)


async def _in_place_of(connection: Connection, rule: Rule, agreed: Agreed) -> Sequence[Rule]:
    """Lock the policy against other changes, and return the active rule that this one replaces. Raises `Stale`."""
    await rules.lock_policy(connection)
    found = await rules.select_all_rules(connection)
    agreed.check(replaceable(found.rules))
    return [known for known in found.rules if rule_key(known) == rule_key(rule)]


async def _carry_out(
    connection: Connection, actor: Actor, changes: Sequence[RuleChange], reason: Reason, agreed: Agreed
) -> PolicyOutcome:
    if not changes:
        return PolicyOutcome(None, (), tag_of(await select_policy(connection)), 0)
    touched = touched_by(changes)
    await scopes.lock_covered(connection, touched)
    if agreed.consent != FULL_CONSENT:
        agreed.consent.check(await _measure(connection, changes, agreed.usual))
    closed = await count_served_covered(connection, closing(change.after for change in changes))
    for change in changes:
        if change.after:
            await rules.write_rule(connection, change.after)
        else:
            rule = change.rule
            await rules.delete_rule(connection, rule.kind, rule.scope, rule.version, rule.subject)
    opened = await count_served_covered(connection, closing(change.before for change in changes))
    still = await select_still_blocked(connection, lifted_by(changes))
    mirrored = await select_mirrored_names(connection, changes)
    rejudged = await scopes.insert_held(connection, touched)
    tag = tag_of(await select_policy(connection))
    serial = await _record(connection, actor, changes, reason)
    return PolicyOutcome(serial, changes, tag, rejudged, Effects(closed, opened, still, mirrored))


async def _measure(connection: Connection, changes: Sequence[RuleChange], usual: Usual | None) -> Impact:
    """Return what the changes would hide: files that rules close or that only observation or an exception serves."""
    current, hidden = (await rules.select_all_rules(connection)).rules, []
    if usual and any(rule.kind in LETTING_THROUGH for rule in current):
        judged = await predict_covered(
            connection, touched_by(changes), [State.HELD], (current, carry_out(current, changes)), usual
        )
        hidden = [prediction.item.file.id for prediction in judged if prediction.mark == "-"]
    return await measure(connection, closing(change.after for change in changes), hidden)


async def _record(connection: Connection, actor: Actor, changes: Sequence[RuleChange], reason: Reason) -> Serial:
    """Write a row of the journal and a decision for each change; return the last serial."""
    record = Record(connection, actor, EVERYTHING)
    for change in changes:
        # The scope replaces the project's name: every process then drops the pages that the scope covers.
        record.add(Event.POLICY, [_entry(change, reason)], project=change.rule.scope)
    last = await record.write()
    assert last is not None
    numbered = [(Serial(serial), change.rule) for serial, change in enumerate(changes, last - len(changes) + 1)]
    # A decision names its row of the journal, so only the decisions are written after it.
    await decisions.insert_policy_decisions(connection, actor, numbered, reason)
    return last


def _entry(change: RuleChange, reason: Reason) -> Entry:
    rule = change.rule
    said = {"value": _said(change.after), "before": _said(change.before), "reason": reason}
    detail: dict[str, object] = {"kind": rule.kind, **said}
    optional = {"subject": rule.subject, "ticket": rule.ticket, "ends": rule.expires_at and rule.expires_at.isoformat()}
    return Entry(rule.version, None, detail | {name: value for name, value in optional.items() if value})


def _said(rule: Rule | None) -> str | None:
    return (rule.value or "active") if rule else None
