"""Rules that people set: each has a kind, a scope, a reason and an author, and may have a value and an expiry.

Block beats approve beats trust beats time. If several rules of a kind with a value cover a file, the one with the
narrowest scope decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from koschey.causes import Cause, CauseKind
from koschey.model import Origin

EVERYTHING = "*"
"""The scope of all projects, hosted ones too."""
UPSTREAM = "@upstream"
"""The scope of all projects that come from an upstream."""
NEVER = "never"
"""The value of a window that time does not end."""


class RuleKind(StrEnum):
    """What a rule does to the files in its scope."""

    TRUSTED = "trusted"
    """New releases wait for their checks and not for time."""
    BLOCKED = "blocked"
    """Nothing is served. Beats every other rule."""
    RESERVED = "reserved"
    """The name is for private packages: no upstream is requested for it, and mirrored files of it are blocked."""
    EXCEPTION = "exception"
    """The file `subject` of one release is served while its SHA-256 is `value`, until the rule expires. Set by
    `koschey except`."""
    WINDOW = "window"
    """Days for which a new file is held."""
    UNKNOWN_AGE = "unknown-age"
    """Days for which a file without an upload time is held, counted from when it was first seen."""
    FIRST_SEEN = "first-seen"
    """Every window counts from when the file was first seen, whatever upload time the upstream states."""
    WITHDRAWN = "withdrawn"
    """A released file that its upstream withdraws within so many days of its upload is blocked, once the absence is
    confirmed."""
    ALLOWED_ONLY = "allowed-only"
    """Only an approval or trust releases a file; time does not."""
    ATTESTED = "attested"
    """Neither time nor trust releases a file without a verified attestation (PEP 740)."""
    CHECK = "check"
    """What is done about findings of the check `subject`, or of one of its codes (`check/code`)."""
    OBSERVED = "observed"
    """Files that would be held are judged and recorded, and served."""
    ANNOUNCED = "announced"
    """Held files are listed as yanked, with the reason why they are held."""
    SECOND_PERSON = "second-person"
    """An approval, an exception or trust becomes active once a second person agrees."""


CLOSING = (RuleKind.BLOCKED, RuleKind.RESERVED)
"""Kinds of rules under which nothing is served, not even released files; a name under them has an empty page."""
FLAGS = frozenset(
    {
        RuleKind.TRUSTED,
        RuleKind.BLOCKED,
        RuleKind.RESERVED,
        RuleKind.FIRST_SEEN,
        RuleKind.ALLOWED_ONLY,
        RuleKind.ATTESTED,
        RuleKind.OBSERVED,
        RuleKind.ANNOUNCED,
        RuleKind.SECOND_PERSON,
    }
)
"""Kinds without a value: such a rule is either active or not."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    kind: RuleKind
    version: str | None
    """None means every version, including future ones."""
    reason: str
    actor: str
    scope: str = ""
    """A project, a pattern `acme-*`, `@upstream` or `*`."""
    subject: str = ""
    value: str = ""
    expires_at: datetime | None = None
    """From then on the rule is not active."""
    ticket: str | None = None
    seconded_by: str | None = None
    """The second person who agreed."""

    @property
    def days(self) -> timedelta | None:
        """The value as a length of time; None if time does not end it."""
        return None if self.value == NEVER else timedelta(days=float(self.value))


def cause_of(rule: Rule) -> Cause:
    """Return the cause of the states that a rule decides."""
    if rule.kind is RuleKind.RESERVED:
        return Cause(CauseKind.RESERVATION, "", rule.scope, rule.version)
    return Cause(CauseKind.RULE, rule.kind, rule.scope, rule.version)


def breadth(scope: str) -> tuple[int, int]:
    """Order scopes from the narrowest to the widest: project, longer pattern, shorter pattern, upstream, everything."""
    if scope == EVERYTHING:
        return 3, 0
    if scope == UPSTREAM:
        return 2, 0
    return (1, -len(scope)) if scope.endswith("-*") else (0, 0)


def covers(scope: str, project: str, origin: Origin) -> bool:
    """Return whether a scope covers a project. The function `in_scope` in the database does the same."""
    if scope.endswith("-*"):
        return project == scope[:-2] or project.startswith(scope[:-1])
    return scope in (project, EVERYTHING) or (scope == UPSTREAM and origin is Origin.MIRRORED)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules about one project, in any order."""

    rules: tuple[Rule, ...] = ()

    def active(self, now: datetime) -> "Rules":
        """Return the rules that have not expired."""
        if not self.rules or all(rule.expires_at is None for rule in self.rules):
            return self
        return replace(self, rules=tuple(r for r in self.rules if r.expires_at is None or r.expires_at > now))

    def next_expiry(self, now: datetime) -> datetime | None:
        """Return when the first active rule expires; until then a judgement by these rules does not change."""
        return min((r.expires_at for r in self.rules if r.expires_at is not None and r.expires_at > now), default=None)

    def find(self, kind: RuleKind, version: str, subject: str = "") -> Rule | None:
        """Return the rule of that kind with the narrowest scope that covers a version; None if there is none."""
        if not self.rules:
            return None
        return min(self._matching(kind, version, subject), key=_narrowest_first, default=None)

    def find_project_wide(self, *kinds: RuleKind) -> Rule | None:
        """Return a rule of one of the kinds that covers all versions, including future ones."""
        return next((rule for rule in self.rules if rule.kind in kinds and rule.version is None), None)

    def _matching(self, kind: RuleKind, version: str, subject: str) -> Iterator[Rule]:
        return (r for r in self.rules if r.kind is kind and r.version in (None, version) and r.subject == subject)


def _narrowest_first(rule: Rule) -> tuple[bool, tuple[int, int]]:
    return rule.version is None, breadth(rule.scope)
