"""Foresees what a change of the rules would do to one file: the verdict before it, and the one after settling."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from koschey.model import StandingFile, State
from koschey.policy.findings import Evidence
from koschey.policy.rules import Rule, Rules, covers
from koschey.policy.verdict import Policy, Verdict, verdict
from koschey.policy.windows import renew


@dataclass(frozen=True, slots=True)
class Prediction:
    """Whether one file is served now, and its verdict after a change has been settled."""

    item: StandingFile
    served: bool
    after: Verdict
    release_at: datetime | None
    """When time may release the file after the change."""

    @property
    def will_be_served(self) -> bool:
        """Whether it is served afterwards; settling releases a file when its verdict says so."""
        return self.after.served or self.after.state is State.RELEASED

    @property
    def mark(self) -> str:
        """`+` for a file that appears, `-` for one that disappears, a space if only its release time may change."""
        if self.served == self.will_be_served:
            return " "
        return "+" if self.will_be_served else "-"

    @property
    def moves_release(self) -> bool:
        """Whether time may release a file that stays held at another moment."""
        return self.after.state is State.HELD and self.release_at != self.item.standing.release_at

    @property
    def matters(self) -> bool:
        """Whether there is anything to report about the file."""
        return self.mark != " " or self.moves_release


def predict(
    item: StandingFile, before: Policy, after: Policy, usual: timedelta, now: datetime, evidence: Evidence
) -> Prediction:
    """Return what would happen to a file: renew its window, then judge it, exactly as settling does."""
    renewed = renew(item, after.active(now).rules, usual)
    return Prediction(
        item,
        verdict(item.file, item.standing, before, now, evidence).served,
        verdict(renewed.file, renewed.standing, after, now, evidence),
        renewed.standing.release_at,
    )


def about(rules: Iterable[Rule], policy: Policy, project: str) -> Policy:
    """Return a project's policy with those of these rules that cover it, instead of its own rules."""
    found = tuple(rule for rule in rules if covers(rule.scope, project, policy.origin))
    return replace(policy, rules=Rules(found))
