"""What a change of the policy does besides judging held releases again: what it closes, opens, and leaves blocked.

A block or a reservation hides released files while it is active. A release with held files is settled, which blocks its
files permanently: after the rule is lifted they stay blocked until a person unblocks them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from koschey.causes import Cause, CauseKind, is_about_check
from koschey.db import rules, scopes
from koschey.db.claims import MirroredName, select_mirrored_covered
from koschey.db.policies import policy_of
from koschey.db.pool import Connection
from koschey.model import StandingFile, State
from koschey.policy.advisories import ADVISORIES
from koschey.policy.changes import RuleChange
from koschey.policy.findings import FindingAction
from koschey.policy.prediction import about
from koschey.policy.rules import CLOSING, Rule, RuleKind, Rules, cause_of, covers
from koschey.policy.verdict import closed_by
from koschey.quarantine.decision import Choice
from koschey.texts import shell_line


@dataclass(frozen=True, slots=True)
class StillBlocked:
    """A release with files that a lifted rule blocked and that no other rule closes."""

    project: NormalizedName
    version: str
    files: int

    @property
    def command(self) -> str:
        """The command that returns them to held, so that a person can approve them."""
        return shell_line("koschey", "unblock", f"{self.project}=={self.version}", "--reason", "...")


@dataclass(frozen=True, slots=True)
class MirroredNames:
    """Names in a reservation that were mirrored already: uploads to them are refused until the names are claimed."""

    names: Sequence[MirroredName] = ()
    """The first of them."""
    total: int = 0

    @property
    def sentences(self) -> Sequence[str]:
        """One sentence for people about each name, with the command that claims it."""
        said = [
            f"{name.name} is already mirrored ({_count(name.files)}, {name.downloaded:,} of them downloaded from here) "
            f"and accepts no upload; to publish it here: koschey claim {name.name} --reason WHY"
            for name in self.names
        ]
        others = self.total - len(self.names)
        return [*said, f"and the same for {others:,} more name{'s' if others > 1 else ''}"] if others > 0 else said


NO_MIRRORED_NAMES = MirroredNames()


@dataclass(frozen=True, slots=True)
class Effects:
    """The immediate effects of a change, and the files and names that it left blocked or mirrored."""

    closed: int = 0
    """The number of files that were served until now, and that a rule closes."""
    opened: int = 0
    """The number of files that a rule closed until now, and that are served again."""
    still_blocked: Sequence[StillBlocked] = ()
    mirrored_names: MirroredNames = NO_MIRRORED_NAMES

    @property
    def sentences(self) -> Sequence[str]:
        """Sentences for people about the effects, with the commands for files that stay blocked and for late names."""
        said = []
        if self.closed:
            said.append(f"{_files(self.closed)} no longer served")
        if self.opened:
            said.append(f"{_files(self.opened)} served again")
        if self.still_blocked:
            count = sum(release.files for release in self.still_blocked)
            so = (
                "stays blocked until a reviewer unblocks it; it is then held for approval"
                if count == 1
                else "stay blocked until a reviewer unblocks them; they are then held for approval"
            )
            commands = ", ".join(release.command for release in self.still_blocked[:NAMED])
            others = len(self.still_blocked) - NAMED
            more = f", and the same for {others} more release{'s' if others > 1 else ''}" if others > 0 else ""
            said.append(f"{_files(count, verb='')} {so}: {commands}{more}")
        return [*said, *self.mirrored_names.sentences]


NO_EFFECTS = Effects()
NAMED = 10
"""Maximum number of releases, or of names, with a command in the sentences for people; programs get all releases."""


def closing(found: Iterable[Rule | None]) -> Sequence[Rule]:
    """Return the rules that close released files."""
    return [rule for rule in found if rule is not None and rule.kind in CLOSING]


def lifted_by(changes: Iterable[RuleChange]) -> Sequence[Rule]:
    """Return the rules that blocked files before the changes and no longer do."""
    before = [change.before for change in changes if change.before and not (change.after and _blocks(change.after))]
    return [rule for rule in before if _blocks(rule)]


async def select_still_blocked(connection: Connection, lifted: Sequence[Rule]) -> Sequence[StillBlocked]:
    """Return the releases that the lifted rules leave blocked. Needs the transaction that lifted them."""
    if not lifted:
        return ()
    remaining = (await rules.select_all_rules(connection)).rules
    found: Counter[tuple[NormalizedName, str]] = Counter()
    async for project, items in scopes.stream_covered(connection, lifted, [State.BLOCKED]):
        policy = about(remaining, policy_of(project, Rules(), ()), project.name)
        covering = [rule for rule in lifted if covers(rule.scope, project.name, project.origin)]
        for item in items:
            version = item.file.version
            if any(_has_blocked(rule, item) for rule in covering) and not closed_by(policy, version):
                found[project.name, version] += 1
    return [StillBlocked(project, version, files) for (project, version), files in found.items()]


async def select_mirrored_names(connection: Connection, changes: Iterable[RuleChange]) -> MirroredNames:
    """Return the names that were mirrored before a reservation among the changes."""
    reserved = [change.after.scope for change in changes if change.after and change.after.kind is RuleKind.RESERVED]
    found = [await select_mirrored_by_pattern(connection, pattern) for pattern in reserved]
    names = [name for mirrored in found for name in mirrored.names]
    return MirroredNames(names[:NAMED], sum(mirrored.total for mirrored in found)) if names else NO_MIRRORED_NAMES


async def select_mirrored_by_pattern(connection: Connection, pattern: str) -> MirroredNames:
    """Return the names of a pattern that are mirrored already."""
    return MirroredNames(*await select_mirrored_covered(connection, pattern, NAMED))


def _count(files: int) -> str:
    return f"{files:,} file{'' if files == 1 else 's'}"


def _files(count: int, *, verb: str | None = None) -> str:
    be = ("is" if count == 1 else "are") if verb is None else verb
    return f"{count:,} file{'' if count == 1 else 's'} {be}".rstrip()


def _blocks(rule: Rule) -> bool:
    return rule.kind in CLOSING or (rule.kind is RuleKind.CHECK and rule.value == FindingAction.BLOCK)


def _has_blocked(rule: Rule, item: StandingFile) -> bool:
    """Return whether the rule, or the decision that set it, has blocked a file."""
    if rule.version not in (None, item.file.version):
        return False
    cause = item.standing.cause
    if rule.kind is RuleKind.CHECK:
        is_advisory = cause.kind is CauseKind.ADVISORY and rule.subject.partition("/")[0] == ADVISORIES.name
        return is_advisory or is_about_check(cause, rule.subject)
    decided = [Cause(CauseKind.DECISION, choice, rule.scope, rule.version) for choice in (Choice.BLOCK, Choice.RECALL)]
    return cause == cause_of(rule) or (rule.kind is RuleKind.BLOCKED and cause in decided)
