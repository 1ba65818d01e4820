"""Reports what the policy means for one project, for each of its files, and for files under observation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from packaging.utils import NormalizedName

from koschey.db import files, projects, rules
from koschey.db.findings import select_known_checks
from koschey.db.policies import load_policy
from koschey.db.pool import Connection
from koschey.errors import NotKnown
from koschey.governance.preview import Usual, predict_covered
from koschey.model import StandingFile, State
from koschey.policy.changes import replaceable, tag_of
from koschey.policy.explain import deciding, why_window
from koschey.policy.findings import Evidence, Finding, FindingAction, KnownCheck
from koschey.policy.prediction import Prediction
from koschey.policy.rules import Rule, RuleKind, Rules
from koschey.policy.verdict import Policy, Verdict, verdict
from koschey.policy.windows import renew
from koschey.quarantine.evidence import gather_evidence


@dataclass(frozen=True, slots=True)
class FileExplained:
    """One file: the verdict on it, and everything that the verdict is based on."""

    item: StandingFile
    """The file with the end of its window by today's rules."""
    verdict: Verdict
    window: str
    evidence: Evidence
    missing: tuple[str, ...]
    """Checks that are required and have not run yet."""
    findings: tuple[tuple[Finding, FindingAction], ...]
    """Each finding, and the action of the policy on it."""


@dataclass(frozen=True, slots=True)
class PolicyExplanation:
    """One project, or one of its releases."""

    project: NormalizedName
    version: str | None
    is_known: bool
    rules: Sequence[tuple[Rule, bool]]
    """Each rule that covers it, and whether it decides its kind."""
    files: tuple[FileExplained, ...]


@dataclass(frozen=True, slots=True)
class PolicyShown:
    """All active rules, and the checks whose proposals apply if no rule says otherwise."""

    rules: Rules
    checks: tuple[KnownCheck, ...]
    tag: int
    """The tag of the whole policy, for a later `Agreed.expected`."""


async def show_policy(connection: Connection, project: NormalizedName | None) -> PolicyShown:
    """Return all active rules, or those that cover one project. An unknown name counts as a mirrored project."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        checks = await select_known_checks(connection)
        every = await rules.select_all_rules(connection)
        tag = tag_of(replaceable(every.rules))
        if project is None:
            return PolicyShown(every, checks, tag)
        found = await projects.select_project(connection, project)
        policy = await load_policy(connection, found) if found else None
        return PolicyShown(policy.rules if policy else await rules.select_rules(connection, project), checks, tag)


async def explain(
    connection: Connection, project: NormalizedName, version: str | None, usual: Usual
) -> PolicyExplanation:
    """Return the rules that decide about a project or a release, and an explanation of each of its files.

    Raises `NotKnown` if the project is known and has no such release.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await projects.select_project(connection, project)
        policy = (
            await load_policy(connection, found) if found else Policy(await rules.select_rules(connection, project))
        )
        known = await files.select_project_files(connection, project)
        chosen = [item for item in known if version in (None, item.file.version)]
        if version is not None and known and not chosen:
            raise NotKnown(f"{project} has no release {version} here; its page lists the releases")
        now = await projects.select_now(connection)
        policy, evidence = await gather_evidence(connection, chosen, policy, usual.feed, now)
    explained = tuple(
        _explain(renew(item, policy.rules, usual.window), policy, evidence[item.file.id], usual.window, now)
        for item in chosen
    )
    return PolicyExplanation(project, version, found is not None, deciding(policy.rules, version), explained)


def _explain(item: StandingFile, policy: Policy, evidence: Evidence, usual: timedelta, now: datetime) -> FileExplained:
    file, standing = item.file, item.standing
    judged = verdict(file, standing, policy, now, evidence)
    missing = policy.required(file.version) - evidence.completed - {fault.check for fault in evidence.faults}
    findings = tuple((finding, policy.action(finding, file.version)) for finding in evidence.findings)
    window = why_window(file, standing, policy.rules, usual)
    return FileExplained(item, judged, window, evidence, tuple(sorted(missing)), findings)


async def observed(connection: Connection, usual: Usual) -> Sequence[Prediction]:
    """Return the files that are served only because of observation, and the prediction for each without it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        current = (await rules.select_all_rules(connection)).rules
        observing = [rule for rule in current if rule.kind is RuleKind.OBSERVED]
        others = [rule for rule in current if rule.kind is not RuleKind.OBSERVED]
        found = await predict_covered(connection, observing, (State.HELD,), (current, others), usual)
        return [prediction for prediction in found if prediction.mark == "-"]
