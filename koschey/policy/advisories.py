"""Applies advisories to files: blocks malware, notes vulnerabilities, and finds security fixes.

If a feed is configured, it counts as a check that every mirrored file must pass. The check is complete if the feed was
read recently. While the feed was never read, or not for too long, no file is released automatically.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from packaging.version import Version

from koschey.causes import Grounds, by_advisory
from koschey.model import Advisory, VersionRange
from koschey.policy.findings import CheckFault, Finding, FindingAction, KnownCheck, Severity, action_for
from koschey.policy.rules import Rules
from koschey.standards.versions import canonical_version, parse_version_or_none

MALICIOUS, VULNERABLE = "malicious", "vulnerable"
ADVISORIES = KnownCheck("advisories", {MALICIOUS: FindingAction.BLOCK, VULNERABLE: FindingAction.NOTE})
"""The feed as a check. A rule about `advisories`, or about one of its codes, overrides these actions."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A configured feed; without one nothing is required."""

    max_age: timedelta
    """How long its last reading is valid."""


def feed_fault(feed: Feed, read_at: datetime | None, now: datetime) -> CheckFault | None:
    """Return why the feed is not up to date, or None if it was read recently."""
    if read_at is None:
        return CheckFault(ADVISORIES.name, "the feed was never read")
    if now - read_at > feed.max_age:
        hours = feed.max_age.total_seconds() / 3600
        return CheckFault(
            ADVISORIES.name, f"the feed was last read at {read_at:%Y-%m-%d %H:%M} UTC, more than {hours:g} hours ago"
        )
    return None


def affects(advisory: Advisory, version: str) -> bool:
    """Return whether an advisory lists a version or has it in one of its ranges (OSV schema, "Evaluation").

    A withdrawn advisory affects no version. A version that cannot be compared is in every range of malware, and in no
    other range.
    """
    if advisory.withdrawn_at is not None:
        return False
    wanted = canonical_version(version)
    if any(canonical_version(listed) == wanted for listed in advisory.versions):
        return True
    parsed = parse_version_or_none(version)
    if parsed is None:
        return advisory.malicious and bool(advisory.ranges)
    return any(_covers(span, parsed) for span in advisory.ranges)


def fixes(advisory: Advisory, had: str, offered: str) -> bool:
    """Return whether an update from one version to another fixes what an advisory reports.

    The advisory affects the first version but not the second, which is later. So the fixed or the last affected version
    lies between them.
    """
    before, after = parse_version_or_none(had), parse_version_or_none(offered)
    later = before is not None and after is not None and after > before
    return later and affects(advisory, had) and not affects(advisory, offered)


def findings_about(advisories: Iterable[Advisory], version: str) -> tuple[Finding, ...]:
    """Return the advisories about a version as findings of the check, malware first."""
    about = [advisory for advisory in advisories if affects(advisory, version)]
    return tuple(_finding(advisory) for advisory in sorted(about, key=lambda each: (not each.malicious, each.id)))


def reported(advisories: Sequence[Advisory], versions: Iterable[str], rules: Rules) -> dict[str, Grounds]:
    """Return those of the versions that are blocked as malware at once, each with the reason."""
    malware = [advisory for advisory in advisories if advisory.malicious]
    if not malware:
        return {}
    found = {version: next((each for each in malware if affects(each, version)), None) for version in set(versions)}
    return {
        version: report_of(advisory) for version, advisory in found.items() if advisory and is_blocked(rules, version)
    }


def is_blocked(rules: Rules, version: str) -> bool:
    """Return whether the policy blocks malware of a version, rather than hold, note or ignore it."""
    return action_for(rules, version, ADVISORIES, MALICIOUS) is FindingAction.BLOCK


def report_of(advisory: Advisory) -> Grounds:
    """Return why a file is blocked because of an advisory."""
    return Grounds(by_advisory(advisory.id), f"{advisory.id}: {advisory.summary}")


def _finding(advisory: Advisory) -> Finding:
    code, severity = (MALICIOUS, Severity.SERIOUS) if advisory.malicious else (VULNERABLE, Severity.WARNING)
    said, evidence = report_of(advisory).reason, {"advisory": advisory.id}
    return Finding(code, severity, said, evidence, ADVISORIES.name, advisory.id)


def _covers(span: VersionRange, version: Version) -> bool:
    bounds = (span.introduced, span.fixed, span.last_affected)
    introduced, fixed, last = (parse_version_or_none(text) if text else None for text in bounds)
    return (
        (introduced is None or version >= introduced)
        and (fixed is None or version < fixed)
        and (last is None or version <= last)
    )
