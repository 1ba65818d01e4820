"""Decides the first state of a file when an upstream's page lists it for the first time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from koschey.causes import BY_FILENAME, BY_TIME, Grounds, UpstreamCause, by_upstream
from koschey.model import Standing, State, UpstreamFile
from koschey.policy.rules import RuleKind, cause_of
from koschey.policy.verdict import Policy, closed_by, only_allowed, trusted_by
from koschey.policy.windows import window_end, window_of, window_start


@dataclass(frozen=True, slots=True)
class Admission:
    """What all new files in one reading of a project's page have in common."""

    policy: Policy
    window: timedelta
    """How long a new file is held if no rule says otherwise."""
    now: datetime
    last_absent_at: datetime | None
    """When the page was last read before, without the file; None at the first reading of the project's page."""
    reported: Mapping[str, Grounds] = field(default_factory=dict)
    """Versions that an advisory calls malicious, each with the reason to block it."""
    review: Grounds | None = None
    """Why a person must review every file of this reading, whatever its age, even if the project is trusted."""


def admit(file: UpstreamFile, path: str | None, admission: Admission) -> Standing:
    """Return the first standing of a new file: released if it is old enough or trusted, otherwise held.

    A version that a rule closes, or that an advisory calls malicious, is blocked. A file without a version is
    malformed. If the page gives no SHA-256, the file is held whatever its age until its bytes are downloaded and
    hashed. A younger file of a trusted project is held until its checks, which need its bytes, are complete.
    """
    if file.version is None:
        return Standing(State.MALFORMED, BY_FILENAME, "the filename names no version of this project", None, None)
    policy = admission.policy.active(admission.now)
    if closed := closed_by(policy, file.version) or admission.reported.get(file.version):
        return Standing(State.BLOCKED, *closed, None, None)
    start, end = _span(file, policy, admission)
    state, grounds = _judge(file, path, policy, admission, end)
    return Standing(state, *grounds, end, None, counts_from=start)


def _span(file: UpstreamFile, policy: Policy, admission: Admission) -> tuple[datetime, datetime | None]:
    """Return when a new file's window begins and when it ends; None if time does not end it."""
    assert file.version is not None
    believed = policy.rules.find(RuleKind.FIRST_SEEN, file.version) is None
    start = window_start(file.upload_time, admission.now, admission.last_absent_at, believed=believed)
    window = window_of(policy.rules, file.version, admission.window, dated=file.upload_time is not None)
    return start, window_end(start, window) if window is not None else None


def _judge(
    file: UpstreamFile, path: str | None, policy: Policy, admission: Admission, end: datetime | None
) -> tuple[State, Grounds]:
    assert file.version is not None
    is_old = end is not None and end <= admission.now
    if file.sha256 is None or path is None:
        unhashed = "the upstream lists the file without a sha256; held until the bytes are hashed"
        return State.HELD, Grounds(by_upstream(UpstreamCause.NO_DIGEST), unhashed)
    if admission.review:
        return State.HELD, admission.review
    if rule := policy.rules.find(RuleKind.ATTESTED, file.version):
        return State.HELD, Grounds(cause_of(rule), "held until its attestation is verified")
    if trust := policy.rules.find(RuleKind.TRUSTED, file.version):
        if policy.required(file.version) and not is_old:
            return State.HELD, Grounds(cause_of(trust), f"{trusted_by(trust)}; held until its checks are complete")
        return State.RELEASED, Grounds(cause_of(trust), trusted_by(trust))
    return _judge_by_age(policy, file.version, is_old=is_old)


def _judge_by_age(policy: Policy, version: str, *, is_old: bool) -> tuple[State, Grounds]:
    if rule := policy.rules.find(RuleKind.ALLOWED_ONLY, version):
        return State.HELD, only_allowed(rule)
    if is_old:
        return State.RELEASED, Grounds(BY_TIME, "older than the quarantine window when it was first seen")
    return State.HELD, Grounds(BY_TIME, "in quarantine")
