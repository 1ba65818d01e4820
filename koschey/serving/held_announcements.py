"""Lists held files on a project's page as yanked (PEP 592), with the reason why they are held.

An installer therefore skips them when it resolves a range, and most installers show the reason to a client that pins
one. The page promises neither the core metadata nor the provenance of a held file.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from koschey.model import File, StandingFile, State
from koschey.policy.availability import request_command
from koschey.policy.rules import RuleKind
from koschey.policy.states import PENDING
from koschey.policy.verdict import Policy, Verdict, absence_of, verdict
from koschey.policy.windows import renew

MAX_WHY = 500
"""Maximum number of characters of a reason on a page; some reasons are very long."""


@dataclass(frozen=True, slots=True)
class HeldFiles:
    """The pending, not served files of a project: those that its page announces, and the number of the others."""

    announced: tuple[File, ...]
    held: int


def announce(known: Sequence[StandingFile], policy: Policy, now: datetime, usual: timedelta) -> HeldFiles:
    """Return the pending, not served files that a page announces, and count the others.

    A file without a digest or a path cannot be announced.
    """
    announced, held = [], 0
    for item in (renew(each, policy.rules, usual) for each in known if each.standing.state in PENDING):
        judged = verdict(item.file, item.standing, policy, now)
        if judged.served or judged.state is State.BLOCKED:
            continue
        if _is_announced(item, judged, policy):
            end = None if absence_of(item.file, policy) else item.standing.release_at
            announced.append(_as_yanked(item.file, judged, end, now))
        else:
            held += 1
    return HeldFiles(tuple(announced), held)


def _is_announced(item: StandingFile, judged: Verdict, policy: Policy) -> bool:
    file = item.file
    rule = policy.rules.find(RuleKind.ANNOUNCED, file.version)
    return rule is not None and judged.state is State.HELD and file.sha256 is not None and file.path is not None


def _as_yanked(file: File, judged: Verdict, end: datetime | None, now: datetime) -> File:
    if judged.recheck_at is None:
        until = "held until a reviewer decides"
    else:
        until = f"held until {end:%Y-%m-%d}" if end and end > now else "held"
    why = re.sub(r"\s+", " ", judged.reason)[:MAX_WHY]
    reason = f"Koschey: {until}: {why}; ask: {request_command(file.project, file.version)}"
    return replace(file, yanked=reason, core_metadata=None, provenance_url=None, attestation=None, record=None)
