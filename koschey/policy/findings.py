"""Findings of checks about a file, and the action on each: without this evidence no file is released automatically."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from koschey.causes import Cause, by_advisory, by_check
from koschey.policy.rules import RuleKind, Rules


class Severity(StrEnum):
    """How bad a finding is, in the opinion of the check."""

    INFO = "info"
    WARNING = "warning"
    SERIOUS = "serious"


class FindingAction(StrEnum):
    """What Koschey does about a finding. A check proposes an action; the policy decides."""

    OFF = "off"
    """The check is not required, and its findings do not count."""
    NOTE = "note"
    HOLD = "hold"
    """A person must decide; the file is not released automatically."""
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has found in one file."""

    code: str
    """Its kind: one of the codes that the check declares, in kebab-case."""
    severity: Severity
    summary: str
    """One sentence for reviewers, in plain text; at most 500 characters are kept."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """What supports the finding, as JSON. All findings of a check about one file may have 1 MiB together."""
    check: str = ""
    """The name of the check. Koschey fills it in; a check leaves it empty."""
    advisory: str | None = None
    """The ID of the advisory that reports it, if one does."""

    @property
    def cause(self) -> Cause:
        """The cause of the action on this finding."""
        return by_advisory(self.advisory) if self.advisory else by_check(self.check, self.code)


@dataclass(frozen=True, slots=True)
class CheckFault:
    """A check that could not be completed: it crashed, hung or skipped something."""

    check: str
    cause: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What checks have found out about one file's bytes. Without evidence no check counts as complete."""

    completed: frozenset[str] = frozenset()
    faults: tuple[CheckFault, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownCheck:
    """A check that some worker has registered, and the action that it proposes for each of its codes."""

    name: str
    proposed: dict[str, FindingAction]


def action_for(rules: Rules, version: str, check: KnownCheck, code: str) -> FindingAction:
    """Return the action on a code of a check: of the rule about the code, else about the check, else its proposal."""
    rule = rules.find(RuleKind.CHECK, version, f"{check.name}/{code}") or rules.find(
        RuleKind.CHECK, version, check.name
    )
    if rule:
        return FindingAction(rule.value)
    # Nobody could have decided about a code that the check never declared.
    return check.proposed.get(code, FindingAction.HOLD)


def is_required(rules: Rules, version: str, check: KnownCheck) -> bool:
    """Return whether a file must pass a check: it must unless the policy switches the whole check off."""
    rule = rules.find(RuleKind.CHECK, version, check.name)
    return rule is None or rule.value != FindingAction.OFF
