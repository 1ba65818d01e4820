"""The one verdict about a file, for every surface and for every change of its state.

The rules, in the order in which they decide:

1. Removed, malformed and conflicting files are never served. Nor is a file that was set aside because its name was
   handed over to another origin.
2. A block of the version or of the project beats all else. So does a reservation of the name for private packages,
   if the file comes from an upstream, and so does a quarantine of the project.
3. A released file stays released. The remaining rules are about held files.
4. A held file is blocked if a check wants it blocked, or if the upstream removed it. While the absence of the file or
   of the project's page is only suspected, the file is held.
5. An exception serves a held file, yanked or not, while it names exactly these bytes and has not expired.
6. A held file is released when its window has ended or its project is trusted, if all checks that policy requires are
   complete, none of them requires a review, and its attestation is verified if that is required. A file of a trusted
   project needs a SHA-256 and a path. Any other file needs bytes that are verified and stored, and a reading of the
   upstream's page after the end of the window that still lists it; if it is yanked there, it is blocked.
7. Under observation, files that rules 4 and 6 would hide are served, and the verdict says what would have happened.

An approval is not a rule here: it changes the state at once, and binds bytes that exist.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from koschey.causes import BY_STATUS, BY_TIME, Cause, Grounds, UpstreamCause, by_check, by_upstream
from koschey.model import Absence, AttestationVerdict, File, Origin, ProjectStatus, Standing, State
from koschey.policy.findings import Evidence, Finding, FindingAction, KnownCheck, action_for, is_required
from koschey.policy.rules import Rule, RuleKind, Rules, cause_of

NOTHING_KNOWN = Evidence()


@dataclass(frozen=True, slots=True)
class Policy:
    """All that a verdict on the files of one project depends on, apart from the files themselves."""

    rules: Rules = field(default_factory=Rules)
    project_status: ProjectStatus = ProjectStatus.ACTIVE
    project_status_reason: str | None = None
    looked_at: datetime | None = None
    """When the upstream's page was last read; None for a hosted project."""
    origin: Origin = Origin.MIRRORED
    checks: tuple[KnownCheck, ...] = ()
    """All checks that any worker has registered."""
    absence: Absence | None = None
    """The absence of the project's page at the upstream, suspected or confirmed."""

    def active(self, now: datetime) -> "Policy":
        """Return the policy without the rules that have expired."""
        rules = self.rules.active(now)
        return self if rules is self.rules else replace(self, rules=rules)

    def required(self, version: str) -> frozenset[str]:
        """Return the names of the checks that a file must pass."""
        return frozenset(check.name for check in self.checks if is_required(self.rules, version, check))

    def action(self, finding: Finding, version: str) -> FindingAction:
        """Return the action on a finding. A person must review the finding of a check that is no longer known."""
        known = next((check for check in self.checks if check.name == finding.check), None)
        return action_for(self.rules, version, known or KnownCheck(finding.check, {}), finding.code)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should happen to a file. Surfaces use `served`; settling uses `state` and `recheck_at`."""

    served: bool
    state: State
    cause: Cause
    reason: str
    """The cause in a sentence, for people only."""
    recheck_at: datetime | None = None
    """When a held file should be judged again; None if only a person or a check can change the verdict."""
    needs_refresh: bool = False
    """Whether the file is held only because the upstream's page must be read again first."""

    @property
    def grounds(self) -> Grounds:
        """The cause and the reason together."""
        return Grounds(self.cause, self.reason)


def verdict(
    file: File, standing: Standing, policy: Policy, now: datetime, evidence: Evidence = NOTHING_KNOWN
) -> Verdict:
    """Judge one file in one index at one moment of PostgreSQL's clock.

    Surfaces need no evidence: it decides only the next state of a held file, which stays held without any.
    """
    policy = policy.active(now)
    if standing.state in (State.REMOVED, State.MALFORMED, State.CONFLICT):
        return Verdict(False, standing.state, standing.cause, standing.reason)
    if file.set_aside_at is not None:
        return Verdict(False, State.BLOCKED, standing.cause, standing.reason)
    if blocked := _block(file, standing, policy):
        return blocked
    if standing.state is State.RELEASED:
        return Verdict(True, State.RELEASED, standing.cause, standing.reason)
    blocked = _blocked_regardless(file, policy, evidence)
    judged = blocked or _suspected(file, policy, now) or _judge_waiting(file, standing, policy, now, evidence)
    return (_excepted(file, policy, judged) if not blocked else None) or _observed(file, policy, judged) or judged


def _block(file: File, standing: Standing, policy: Policy) -> Verdict | None:
    if standing.state is State.BLOCKED:
        return Verdict(False, State.BLOCKED, standing.cause, standing.reason)
    if closed := closed_by(policy, file.version):
        return Verdict(False, State.BLOCKED, *closed)
    if policy.project_status is ProjectStatus.QUARANTINED:
        return Verdict(False, State.BLOCKED, *_quarantined(policy))
    return None


def closed_by(policy: Policy, version: str) -> Grounds | None:
    """Return the block or reservation that closes this name and version; None if neither does."""
    if rule := policy.rules.find(RuleKind.BLOCKED, version):
        return Grounds(cause_of(rule), f"blocked by {rule.actor}: {rule.reason}")
    if policy.origin is Origin.MIRRORED and (rule := policy.rules.find(RuleKind.RESERVED, version)):
        return Grounds(cause_of(rule), f"the name is reserved for private packages: {rule.reason}")
    return None


def _quarantined(policy: Policy) -> Grounds:
    """Return who quarantined the project: the upstream for a mirrored one, an admin of this index for a hosted one."""
    why = policy.project_status_reason
    if policy.origin is Origin.HOSTED:
        return Grounds(BY_STATUS, f"the project is quarantined: {why or 'no reason given'}")
    said = f"the upstream quarantined the project: {why or 'the upstream gives no reason'}"
    return Grounds(by_upstream(UpstreamCause.QUARANTINED), said)


def _blocked_regardless(file: File, policy: Policy, evidence: Evidence) -> Verdict | None:
    """Return the verdict that blocks a held file whatever time and exceptions say; None if nothing blocks it."""
    if finding := _worst(file, policy, evidence, FindingAction.BLOCK):
        return Verdict(False, State.BLOCKED, finding.cause, f"{finding.check}: {finding.summary}")
    if file.is_gone:
        removed = by_upstream(UpstreamCause.REMOVED)
        return Verdict(False, State.BLOCKED, removed, "the upstream removed the file during its quarantine")
    return None


def absence_of(file: File, policy: Policy) -> Absence | None:
    """Return the absence for which neither time nor trust releases a file now: its own, or that of its project."""
    return file.absence or policy.absence


def _suspected(file: File, policy: Policy, now: datetime) -> Verdict | None:
    absence = absence_of(file, policy)
    if absence is None:
        return None
    what = "file" if file.absence else "project"
    absent, since = by_upstream(UpstreamCause.ABSENT), f"since {absence.since:%Y-%m-%d %H:%M} UTC"
    if absence.due_at is None:
        return Verdict(False, State.HELD, absent, f"the upstream no longer lists the {what}, {since}")
    waits = f"absence suspected: the upstream does not list the {what} {since}; further refreshes confirm or end this"
    is_due = absence.due_at <= now
    due_at = now if is_due else absence.due_at
    return Verdict(False, State.HELD, absent, waits, recheck_at=due_at, needs_refresh=is_due)


def _judge_waiting(file: File, standing: Standing, policy: Policy, now: datetime, evidence: Evidence) -> Verdict:
    trust = policy.rules.find(RuleKind.TRUSTED, file.version)
    if trust and file.has_known_bytes:
        return _unproved(file, policy, evidence) or Verdict(False, State.RELEASED, cause_of(trust), trusted_by(trust))
    return _judge_by_time(file, standing, policy, now, evidence)


def trusted_by(rule: Rule) -> str:
    """Return a sentence that says who trusted a project, and why."""
    return f"trusted by {rule.actor}: {rule.reason}"


def only_allowed(rule: Rule) -> Grounds:
    """Return why time releases no file under a rule `allowed-only`."""
    return Grounds(cause_of(rule), f"the index serves only files that a reviewer approves or trusts: {rule.reason}")


def _judge_by_time(file: File, standing: Standing, policy: Policy, now: datetime, evidence: Evidence) -> Verdict:
    if allowed := policy.rules.find(RuleKind.ALLOWED_ONLY, file.version):
        return Verdict(False, State.HELD, *only_allowed(allowed))
    if standing.release_at is None:
        return Verdict(False, State.HELD, standing.cause, standing.reason)
    if now < standing.release_at:
        review = _worst(file, policy, evidence, FindingAction.HOLD)
        grounds = _for_review(review) if review else Grounds(standing.cause, standing.reason)
        return Verdict(False, State.HELD, *grounds, recheck_at=standing.release_at)
    return _unproved(file, policy, evidence) or _judge_ended(file, standing.release_at, policy, now)


def _judge_ended(file: File, release_at: datetime, policy: Policy, now: datetime) -> Verdict:
    """Judge a file whose window has ended and whose checks are complete."""
    if policy.looked_at is None or policy.looked_at < release_at:
        waits = "the window has ended; the upstream's page is refreshed first"
        return Verdict(False, State.HELD, BY_TIME, waits, recheck_at=now, needs_refresh=True)
    if file.yanked is not None:
        why = f"the upstream yanked the file during its quarantine: {file.yanked or 'no reason given'}"
        return Verdict(False, State.BLOCKED, by_upstream(UpstreamCause.YANKED), why)
    if file.stored_at is None or not file.has_known_bytes:
        waits = "the window has ended; the bytes are not verified yet"
        return Verdict(False, State.HELD, BY_TIME, waits, recheck_at=now)
    return Verdict(False, State.RELEASED, BY_TIME, "the quarantine window ended")


def _unproved(file: File, policy: Policy, evidence: Evidence) -> Verdict | None:
    """Return why neither time nor trust may release a file: a check, a finding or its attestation holds it."""
    grounds = _lacks_checks(file, policy, evidence)
    if grounds is None and (finding := _worst(file, policy, evidence, FindingAction.HOLD)):
        grounds = _for_review(finding)
    rule = policy.rules.find(RuleKind.ATTESTED, file.version)
    if grounds is None and rule and file.attestation is not AttestationVerdict.VERIFIED:
        grounds = Grounds(cause_of(rule), f"it has no verified attestation, and a rule requires one: {rule.reason}")
    return Verdict(False, State.HELD, *grounds) if grounds else None


def _lacks_checks(file: File, policy: Policy, evidence: Evidence) -> Grounds | None:
    required = policy.required(file.version)
    if faults := [fault for fault in evidence.faults if fault.check in required]:
        check, fault = faults[0].check, faults[0].cause
        return Grounds(by_check(check), f"the check {check} could not be completed: {fault}")
    if missing := sorted(required - evidence.completed):
        return Grounds(by_check(missing[0]), f"held until these checks are complete: {', '.join(missing)}")
    return None


def _for_review(finding: Finding) -> Grounds:
    return Grounds(finding.cause, f"a reviewer must decide; {finding.check}: {finding.summary}")


def _worst(file: File, policy: Policy, evidence: Evidence, action: FindingAction) -> Finding | None:
    found = (finding for finding in evidence.findings if policy.action(finding, file.version) is action)
    return next(found, None)


def _excepted(file: File, policy: Policy, judged: Verdict) -> Verdict | None:
    """Return the verdict on a held file that an exception for exactly these bytes serves; None if there is none."""
    exception = policy.rules.find(RuleKind.EXCEPTION, file.version, file.filename)
    if exception is None or exception.expires_at is None or exception.value != file.sha256:
        return None
    ticket = f" ({exception.ticket})" if exception.ticket else ""
    until = f"exception by {exception.actor} until {exception.expires_at:%Y-%m-%d %H:%M} UTC{ticket}"
    return _served_meanwhile(file, judged, Grounds(cause_of(exception), f"{until}: {exception.reason}"))


def _observed(file: File, policy: Policy, judged: Verdict) -> Verdict | None:
    """Return the verdict on a held file that is served under observation; None if it is not."""
    rule = policy.rules.find(RuleKind.OBSERVED, file.version)
    if rule is None:
        return None
    would = f"observed ({rule.reason}); the file would be {judged.state}: {judged.reason}"
    return _served_meanwhile(file, judged, Grounds(cause_of(rule), would))


def _served_meanwhile(file: File, judged: Verdict, grounds: Grounds) -> Verdict | None:
    """Serve a file that stays held or is about to be released. It is not blocked before the rule expires."""
    if not file.has_known_bytes:
        return None
    if judged.state is State.RELEASED:
        return replace(judged, served=True)
    return replace(judged, served=True, state=State.HELD, cause=grounds.cause, reason=grounds.reason)
