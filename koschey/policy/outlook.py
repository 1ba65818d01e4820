"""What a change of the rules would do to one file: the verdict before it, and the one after it was settled."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from koschey.model import StandingFile, State
from koschey.policy.findings import Evidence
from koschey.policy.rules import Rule, Rules, covers
from koschey.policy.verdict import Policy, Verdict, verdict
from koschey.policy.windows import renew


@dataclass(frozen=True, slots=True)
class Outlook:
    """How one file fares now, and how it would once a change has been settled."""

    item: StandingFile
    served: bool
    after: Verdict
    release_at: datetime | None
    """When time may let the file out after the change."""

    @property
    def will_be_served(self) -> bool:
        """Whether it is served afterwards; what the verdict releases, settling moves."""
        return self.after.served or self.after.state is State.RELEASED

    @property
    def mark(self) -> str:
        """`+` for a file that appears, `-` for one that disappears, a space where only its release time moves."""
        if self.served == self.will_be_served:
            return " "
        return "+" if self.will_be_served else "-"

    @property
    def moves_release(self) -> bool:
        """Whether a file that stays held may be let out by time at another moment."""
        return self.after.state is State.HELD and self.release_at != self.item.standing.release_at

    @property
    def matters(self) -> bool:
        """Whether there is anything to tell about the file."""
        return self.mark != " " or self.moves_release


def foresee(
    item: StandingFile, before: Policy, after: Policy, usual: timedelta, now: datetime, evidence: Evidence
) -> Outlook:
    """Return what would become of a file: its window renewed, then judged, exactly as settling does."""
    renewed = renew(item, after.in_force(now).rules, usual)
    return Outlook(
        item,
        verdict(item.file, item.standing, before, now, evidence).served,
        verdict(renewed.file, renewed.standing, after, now, evidence),
        renewed.standing.release_at,
    )


def about(rules: Iterable[Rule], policy: Policy, project: str) -> Policy:
    """Return a project's policy with those of these rules that are about it, in place of its own."""
    found = tuple(rule for rule in rules if covers(rule.scope, project, policy.origin))
    return replace(policy, rules=Rules(found))
