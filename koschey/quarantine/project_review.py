"""One project for reviewers: every file with its current verdict and evidence, and what a reviewer can decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from packaging.utils import NormalizedName

from koschey.db import browse, files, policies, projects
from koschey.db.browse import ActiveRule, CheckedAttestation, JournalRow
from koschey.db.left_out import select_left_out
from koschey.db.pool import ACQUIRE_TIMEOUT, Pool
from koschey.model import File, FileId, LeftOut, Project, Standing, StandingFile, State
from koschey.policy.advisories import Feed
from koschey.policy.findings import Evidence, Finding, FindingAction
from koschey.policy.rules import RuleKind
from koschey.policy.verdict import Policy, verdict
from koschey.quarantine.evidence import gather_evidence
from koschey.quarantine.project_files import is_about_to_be_released, state_shown
from koschey.quarantine.settle import STATES_BY_WEIGHT
from koschey.standards.versions import version_key

ENTRIES = 20
"""Maximum number of journal entries that are shown with a project."""
ORDER = (FindingAction.BLOCK, FindingAction.HOLD, FindingAction.NOTE, FindingAction.OFF)


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding, and the action of the policy on it."""

    finding: Finding
    action: FindingAction


@dataclass(frozen=True, slots=True)
class ShownEvidence:
    """The results of all checks of one file."""

    findings: Sequence[ShownFinding]
    faults: Mapping[str, str]
    """Checks that could not be completed, and why."""
    passed: Sequence[str]
    waiting: Sequence[str]
    """Checks that the policy requires and that have not run on these bytes yet."""


@dataclass(frozen=True, slots=True)
class ReviewedFile:
    """A file with its current verdict, which is the same for every client."""

    file: File
    standing: Standing
    state: State
    reason: str
    served: bool
    evidence: ShownEvidence


@dataclass(frozen=True, slots=True)
class ReviewedRelease:
    """A release as the page shows it."""

    version: str
    files: Sequence[ReviewedFile]
    blocked_by_rule: bool

    @property
    def state(self) -> State:
        """The state of the file that needs attention most."""
        return min((shown.state for shown in self.files), key=STATES_BY_WEIGHT.index)

    @property
    def release_at(self) -> datetime | None:
        """When time releases the first of its held files; None if it releases none."""
        held = [shown.standing.release_at for shown in self.files if shown.state is State.HELD]
        return min((moment for moment in held if moment), default=None)

    @property
    def reasons(self) -> list[str]:
        """Why its files are in that state."""
        return sorted({shown.reason for shown in self.files if shown.state is self.state})

    @property
    def choices(self) -> list[str]:
        """What a reviewer can decide in the current state."""
        states = {shown.standing.state for shown in self.files}
        stuck = states & {State.MALFORMED, State.CONFLICT, State.BLOCKED}
        waits = State.HELD in states and not stuck and not self.blocked_by_rule
        return [
            *(["approve", "extend", "except"] if waits else []),
            *(["block", "recall"] if states - {State.BLOCKED, State.REMOVED} else []),
            *(["unblock"] if State.BLOCKED in states or self.blocked_by_rule else []),
        ]


@dataclass(frozen=True, slots=True)
class ProjectReview:
    """A project, or a name that only rules cover."""

    name: NormalizedName
    project: Project | None
    rules: Sequence[ActiveRule]
    releases: Sequence[ReviewedRelease]
    """The newest version first."""
    origins: Mapping[FileId, str]
    """Where stored files were downloaded from."""
    attestations: Mapping[FileId, CheckedAttestation]
    left_out: LeftOut
    entries: Sequence[JournalRow]
    """The last changes, the newest first."""

    @property
    def choices(self) -> list[str]:
        """What a reviewer can decide for the whole project; a block of one release is lifted at the release."""
        whole = {rule.kind for rule in self.rules if rule.version is None and rule.scope == self.name}
        return [
            "untrust" if RuleKind.TRUSTED in whole else "trust",
            "unblock" if RuleKind.BLOCKED in whole else "block",
        ]


async def review_project(pool: Pool, name: NormalizedName, feed: Feed | None) -> ProjectReview | None:
    """Return all that a reviewer needs for a decision; None if neither the project nor a rule about it is known."""
    async with (
        pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await projects.select_project(connection, name)
        rules = await browse.select_active_rules(connection, name)
        if found is None and not rules:
            return None
        policy = await policies.load_policy(connection, found) if found else Policy()
        known = await files.select_project_files(connection, name)
        now = await projects.select_now(connection)
        policy, evidence = await gather_evidence(connection, known, policy, feed, now)
        return ProjectReview(
            name=name,
            project=found,
            rules=rules,
            releases=_releases(known, policy, evidence, rules, now),
            origins=await browse.select_origins(connection, name),
            attestations=await browse.select_attestations(connection, name),
            left_out=await select_left_out(connection, name) if found and found.left_out else LeftOut(),
            entries=await browse.select_project_journal(connection, name, limit=ENTRIES),
        )


def _releases(
    known: Sequence[StandingFile],
    policy: Policy,
    evidence: Mapping[FileId, Evidence],
    rules: Sequence[ActiveRule],
    now: datetime,
) -> list[ReviewedRelease]:
    """Group files by release, the newest version first."""
    blocked = {rule.version for rule in rules if rule.kind is RuleKind.BLOCKED}
    by_version = attrgetter("file.version")
    grouped = groupby(sorted(known, key=by_version), key=by_version)
    releases = [
        ReviewedRelease(
            version, [_judge(item, policy, evidence[item.file.id], now) for item in items], version in blocked
        )
        for version, items in grouped
    ]
    return sorted(releases, key=lambda release: version_key(release.version), reverse=True)


def _judge(item: StandingFile, policy: Policy, evidence: Evidence, now: datetime) -> ReviewedFile:
    judged = verdict(item.file, item.standing, policy, now, evidence)
    reason = f"about to be released: {judged.reason}" if is_about_to_be_released(judged) else judged.reason
    shown = _show_evidence(item.file, item.standing.state, policy, evidence)
    return ReviewedFile(item.file, item.standing, state_shown(judged, item.standing), reason, judged.served, shown)


def _show_evidence(file: File, state: State, policy: Policy, evidence: Evidence) -> ShownEvidence:
    """Return the evidence to show. Only held files list missing checks; a released file needs none."""
    findings = [ShownFinding(finding, policy.action(finding, file.version)) for finding in evidence.findings]
    faults = {fault.check: fault.cause for fault in evidence.faults}
    missing = policy.required(file.version) - evidence.completed - faults.keys() if state is State.HELD else frozenset()
    return ShownEvidence(
        sorted(findings, key=lambda shown: ORDER.index(shown.action)),
        faults,
        sorted(evidence.completed),
        sorted(missing),
    )
