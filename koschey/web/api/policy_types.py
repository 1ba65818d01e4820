"""The inputs and answers of the operations on the policy."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct
from packaging.utils import NormalizedName

from koschey.model import Serial, State
from koschey.policy.findings import FindingAction
from koschey.standards.names import parse_name
from koschey.web.api.types import WORD, Confirm, Input, Reason, Tagged, Text

type Kind = Annotated[str, Meta(max_length=40, pattern=WORD, description="As `koschey policy set --help` lists them.")]
type Scope = Annotated[
    str, Meta(max_length=420, pattern=WORD, description="A project, 'name==version', 'name-*', '@upstream' or '*'.")
]
type Subject = Annotated[str, Meta(max_length=200, pattern=WORD, description="For `check`: CHECK or CHECK/CODE.")]


class PolicyQuery(Input, frozen=True, kw_only=True):
    """Which part of the policy."""

    project: Annotated[Text | None, Meta(description="Only the rules that cover this project.")] = None

    @property
    def name(self) -> NormalizedName | None:
        """The project, normalised. Raises `UsageError` if it is not a valid name."""
        return parse_name(self.project) if self.project is not None else None


class RuleTerms(Input, frozen=True, kw_only=True):
    """The terms of a rule."""

    kind: Kind
    scope: Scope
    subject: Subject | None = None
    value: Annotated[str, Meta(max_length=40, pattern=WORD)] | float | None = None
    reason: Reason
    ends: datetime | None = None
    ticket: Text | None = None


class NewRule(RuleTerms, frozen=True, kw_only=True):
    """A rule to set. It replaces the rule of the same kind, scope and subject."""

    confirm: Confirm = None


class LiftedRule(Input, frozen=True, kw_only=True):
    """A rule to remove."""

    kind: Kind
    scope: Scope
    subject: Subject | None = None
    reason: Reason
    confirm: Confirm = None


class NewPolicy(Input, frozen=True, kw_only=True):
    """All rules of the policy, without exceptions."""

    rules: list[RuleTerms]
    reason: Reason
    dry_run: Annotated[bool, Meta(description="Change nothing; only report what would change.")] = False
    confirm: Confirm = None


class ShownRule(Struct, frozen=True, kw_only=True):
    """A rule, active or expired."""

    kind: str
    scope: str
    subject: str | None
    value: str | None
    reason: str
    author: str
    ends: datetime | None
    ticket: str | None


class KnownCheckShown(Struct, frozen=True, kw_only=True):
    """A check that a worker has registered, and the action that it proposes for each code that it can find."""

    name: str
    proposes: dict[str, FindingAction]


class PolicyState(Tagged, frozen=True, kw_only=True):
    """The active rules, and the defaults."""

    window_days: float
    observed: list[str]
    """Scopes under observation: files that would be held there are served."""
    rules: list[ShownRule]
    checks: list[KnownCheckShown]


class ChangedRule(Struct, frozen=True, kw_only=True):
    """A rule that is added (`+`), removed (`-`), or changed (`~`)."""

    change: str
    before: ShownRule | None
    after: ShownRule | None


class FilePrediction(Struct, frozen=True, kw_only=True):
    """A file that would appear (`+`), disappear (`-`), or be released at another time (a space)."""

    project: str
    version: str
    filename: str
    change: str
    state: State
    why: str
    release_at: datetime | None
    release_at_before: datetime | None


class BlockedRelease(Struct, frozen=True, kw_only=True):
    """Files of a release that stay blocked until a person unblocks them, and how many."""

    project: str
    version: str
    files: int


class UnclaimedName(Struct, frozen=True, kw_only=True):
    """A name that was mirrored before it was reserved, and accepts no upload until it is claimed."""

    name: str
    files: int
    downloaded: int
    """The number of these files that were ever downloaded."""


class PolicyChange(Tagged, frozen=True, kw_only=True):
    """What a request changed in the policy, or would change."""

    serial: Serial | None
    """None if it changed nothing."""
    changed: bool
    releases_judged_anew: int
    files_served_no_more: int
    files_served_again: int
    mirrored: list[UnclaimedName]
    """Reserved names that are mirrored already: `POST /projects/{project}/claim` hands each to private packages."""
    still_blocked: list[BlockedRelease]
    """Releases that lifted rules blocked; `POST /decisions` with `unblock` holds them again. Empty for a dry run."""
    rules: list[ChangedRule]
    files: list[FilePrediction]
    """The files that would change, for a dry run; empty otherwise."""
