"""Compares two sets of rules, rule by rule."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from koschey.policy.rules import Rule, RuleKind

type RuleKey = tuple[RuleKind, str, str, str]
"""The key of a rule: kind, scope, version or '', subject. At most one rule with the same key is active."""


def rule_key(rule: Rule) -> RuleKey:
    """Return the key of a rule: a new rule replaces the one with the same key."""
    return rule.kind, rule.scope, rule.version or "", rule.subject


def content(rule: Rule) -> tuple[str, str, datetime | None, str | None]:
    """Return the content of a rule, without its key. The author is not part of it."""
    return rule.value, rule.reason, rule.expires_at, rule.ticket


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule that is added, removed or changed."""

    before: Rule | None
    after: Rule | None

    @property
    def rule(self) -> Rule:
        """The rule as it will be, or as it was if it is removed."""
        rule = self.after or self.before
        assert rule is not None
        return rule

    @property
    def mark(self) -> str:
        """`+` for a new rule, `-` for a removed one, `~` for a changed one."""
        if self.before and self.after:
            return "~"
        return "+" if self.after else "-"


def compare(before: Iterable[Rule], after: Iterable[Rule]) -> Sequence[RuleChange]:
    """Return the differences, by key. A rule that is the same in both keeps its author."""
    old, new = ({rule_key(rule): rule for rule in rules} for rules in (before, after))
    changes = [RuleChange(old.get(where), new.get(where)) for where in sorted(old.keys() | new.keys())]
    return [change for change in changes if not _is_same(change)]


def carry_out(rules: Iterable[Rule], changes: Iterable[RuleChange]) -> Sequence[Rule]:
    """Return the rules after the changes."""
    found = {rule_key(rule): rule for rule in rules}
    for change in changes:
        found.pop(rule_key(change.rule), None)
        if change.after:
            found[rule_key(change.rule)] = change.after
    return list(found.values())


def touched_by(changes: Iterable[RuleChange]) -> Sequence[Rule]:
    """Return every rule before and after the changes; the changes can affect only what these rules cover."""
    return [rule for change in changes for rule in (change.before, change.after) if rule]


def replaceable(rules: Iterable[Rule]) -> Sequence[Rule]:
    """Return the rules of a policy: all but exceptions, which bind bytes and are granted one by one."""
    return [rule for rule in rules if rule.kind is not RuleKind.EXCEPTION]


def tag_of(rules: Iterable[Rule]) -> int:
    """Return a number that differs if the rules differ, so that a person changes only the policy that they saw."""
    text = repr(sorted((rule_key(rule), repr(content(rule))) for rule in rules))
    return int.from_bytes(sha256(text.encode()).digest()[:7])


def _is_same(change: RuleChange) -> bool:
    return change.before is not None and change.after is not None and content(change.before) == content(change.after)
