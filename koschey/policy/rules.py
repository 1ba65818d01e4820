"""Rules that people put in force. Block beats approve beats trust beats time."""

from dataclasses import dataclass
from enum import StrEnum


class RuleKind(StrEnum):
    """What a rule does to the files in its scope."""

    TRUSTED = "trusted"
    BLOCKED = "blocked"
    RESERVED = "reserved"
    """The name is for private packages: no upstream is asked for it, and what came from one is blocked."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule about a project, or about one version of it."""

    kind: RuleKind
    version: str | None
    """None: every version, also those to come."""
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules about one project."""

    rules: tuple[Rule, ...] = ()

    def find(self, kind: RuleKind, version: str) -> Rule | None:
        """Return the rule of that kind that covers a version, if there is one."""
        return next((rule for rule in self.rules if rule.kind is kind and rule.version in (None, version)), None)

    def find_whole(self, *kinds: RuleKind) -> Rule | None:
        """Return a rule of one of the kinds that covers all versions, also those to come."""
        return next((rule for rule in self.rules if rule.kind in kinds and rule.version is None), None)
