"""Where a file starts when an upstream's page shows it for the first time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from koschey.model import Standing, State, UpstreamFile
from koschey.policy.rules import RuleKind, Rules
from koschey.policy.windows import window_end, window_start


@dataclass(frozen=True, slots=True)
class Admission:
    """What is common to all new files of one look at one project."""

    rules: Rules
    window: timedelta
    now: datetime
    last_absent_at: datetime | None
    """The last look before this one, in which the file was not there; None at the first look at the project."""


def admit(file: UpstreamFile, path: str | None, admission: Admission) -> Standing:
    """Return the standing that a new file starts at: released where it is old enough or trusted, else held.

    A file whose page gives no sha256 is held whatever its age, until its bytes were fetched and hashed.
    """
    if file.version is None:
        return Standing(State.MALFORMED, "the filename names no version of this project", None, None)
    if closed := _closed(admission.rules, file.version):
        return Standing(State.BLOCKED, closed, None, None)
    start = window_start(file.upload_time, admission.now, admission.last_absent_at)
    end = window_end(start, admission.window)
    if file.sha256 is None or path is None:
        return Standing(State.HELD, "the upstream gives no sha256; held until the bytes are hashed", end, None)
    if rule := admission.rules.find(RuleKind.TRUSTED, file.version):
        return Standing(State.RELEASED, f"trusted by {rule.actor}: {rule.reason}", end, None)
    if end <= admission.now:
        return Standing(State.RELEASED, "older than the quarantine window when it was first seen", end, None)
    return Standing(State.HELD, "in quarantine", end, None)


def _closed(rules: Rules, version: str) -> str | None:
    """Return why nothing of an upstream may come in under this name and version."""
    if rule := rules.find(RuleKind.BLOCKED, version):
        return f"blocked by {rule.actor}: {rule.reason}"
    if rule := rules.find(RuleKind.RESERVED, version):
        return f"the name is reserved for private packages: {rule.reason}"
    return None
