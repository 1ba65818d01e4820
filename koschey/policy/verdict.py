"""The one verdict: for every surface and for every move, what is to be done with a file.

The rules, in the order in which they decide:

1. Removed, malformed and conflicting files are never served.
2. A block, of the version or of the project, beats all else; so do a reservation of the name for private packages,
   where the file is an upstream's, and a quarantine of the project.
3. What is released stays released; what is held waits.
4. A held file in a trusted project is released, once it is known which bytes it is.
5. A held file is released when its window has ended, its bytes are verified and stored, and the upstream, looked at
   after that moment, still lists it as it was and unyanked. If the upstream took it back, it is blocked.

An approval is not a rule here: it moves the standing at once, and binds bytes that exist.
"""

from dataclasses import dataclass, field
from datetime import datetime

from koschey.model import File, Origin, ProjectStatus, Standing, State
from koschey.policy.rules import RuleKind, Rules


@dataclass(frozen=True, slots=True)
class Policy:
    """All that judges the files of one project, apart from the files themselves."""

    rules: Rules = field(default_factory=Rules)
    project_status: ProjectStatus = ProjectStatus.ACTIVE
    project_status_reason: str | None = None
    looked_at: datetime | None = None
    """When the upstream's page was last read; None for a hosted project."""
    origin: Origin = Origin.MIRRORED


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should be so. `served` answers surfaces; `state` and `look_again_at` answer whoever moves standings."""

    served: bool
    state: State
    reason: str
    look_again_at: datetime | None = None
    """When a held file should be judged again; None where only a person can change the verdict."""
    needs_look: bool = False
    """Held only because the upstream must be asked again first."""


def verdict(file: File, standing: Standing, policy: Policy, now: datetime) -> Verdict:
    """Judge one file in one index at one moment of PostgreSQL's clock."""
    if standing.state in (State.REMOVED, State.MALFORMED, State.CONFLICT):
        return Verdict(False, standing.state, standing.reason)
    if blocked := _block(file, standing, policy):
        return blocked
    if standing.state is State.RELEASED:
        return Verdict(True, State.RELEASED, standing.reason)
    trusted = policy.rules.find(RuleKind.TRUSTED, file.version)
    if trusted and file.sha256 and file.path:
        return Verdict(False, State.RELEASED, f"trusted by {trusted.actor}: {trusted.reason}")
    return _judge_by_time(file, standing, policy, now)


def _block(file: File, standing: Standing, policy: Policy) -> Verdict | None:
    if standing.state is State.BLOCKED:
        return Verdict(False, State.BLOCKED, standing.reason)
    if rule := policy.rules.find(RuleKind.BLOCKED, file.version):
        return Verdict(False, State.BLOCKED, f"blocked by {rule.actor}: {rule.reason}")
    if policy.origin is Origin.MIRRORED and (rule := policy.rules.find(RuleKind.RESERVED, file.version)):
        return Verdict(False, State.BLOCKED, f"the name is reserved for private packages: {rule.reason}")
    if policy.project_status is ProjectStatus.QUARANTINED:
        return Verdict(False, State.BLOCKED, _why_quarantined(policy))
    return None


def _why_quarantined(policy: Policy) -> str:
    """Return who closed the project: an upstream closes its own, an admin here those that are hosted here."""
    if policy.origin is Origin.HOSTED:
        return f"the project is quarantined: {policy.project_status_reason or 'no reason given'}"
    return f"the upstream quarantined the project: {policy.project_status_reason or 'the upstream gives no reason'}"


def _judge_by_time(file: File, standing: Standing, policy: Policy, now: datetime) -> Verdict:
    if standing.release_at is None:
        return Verdict(False, State.HELD, standing.reason)
    if now < standing.release_at:
        return Verdict(False, State.HELD, standing.reason, look_again_at=standing.release_at)
    if policy.looked_at is None or policy.looked_at < standing.release_at:
        waits = "the window has ended; the upstream is asked again first"
        return Verdict(False, State.HELD, waits, look_again_at=now, needs_look=True)
    if withdrawn := _withdrawn(file):
        return Verdict(False, State.BLOCKED, withdrawn)
    if file.stored_at is None:
        return Verdict(False, State.HELD, "the window has ended; the bytes are not verified yet", look_again_at=now)
    return Verdict(False, State.RELEASED, "the quarantine window ended")


def _withdrawn(file: File) -> str | None:
    """Return how the upstream took a file back while it was held."""
    if file.absent_since is not None:
        return "the upstream removed the file during its quarantine"
    if file.yanked is not None:
        return f"the upstream yanked the file during its quarantine: {file.yanked or 'no reason given'}"
    return None
