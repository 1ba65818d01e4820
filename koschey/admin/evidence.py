"""What checks say of the files on a page: shown beside each file, in the words of those who must decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from koschey.model import File, State
from koschey.policy.findings import Evidence, Finding, FindingAction
from koschey.policy.verdict import Policy

ORDER = (FindingAction.BLOCK, FindingAction.HOLD, FindingAction.NOTE, FindingAction.OFF)


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding, and what policy does about it."""

    finding: Finding
    action: FindingAction


@dataclass(frozen=True, slots=True)
class ShownEvidence:
    """All that checks say of one file."""

    findings: Sequence[ShownFinding]
    faults: Mapping[str, str]
    """Checks that could not be completed, and why."""
    passed: Sequence[str]
    waiting: Sequence[str]
    """Checks that policy asks for and that have not looked at these bytes yet."""


def show_evidence(file: File, state: State, policy: Policy, evidence: Evidence) -> ShownEvidence:
    """Return what to show; what a released file never went through is not missed."""
    findings = [ShownFinding(finding, policy.action(finding, file.version)) for finding in evidence.findings]
    faults = {fault.check: fault.cause for fault in evidence.faults}
    missing = policy.required(file.version) - evidence.completed - faults.keys() if state is State.HELD else frozenset()
    return ShownEvidence(
        sorted(findings, key=lambda shown: ORDER.index(shown.action)),
        faults,
        sorted(evidence.completed),
        sorted(missing),
    )
