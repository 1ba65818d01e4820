"""The one function through which every person's decision goes, whatever door it came by.

It checks the permission, then writes decision, states and journal in one transaction; the commit tells every web
process. Block beats approve: what is blocked must be unblocked, and then is held.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from packaging.utils import NormalizedName

from koschey.auth.identity import authorize
from koschey.auth.permissions import Action
from koschey.db import decisions, files, journal, projects, rules
from koschey.db.accounts import select_account
from koschey.db.journal import Entry
from koschey.db.outbox import insert_message
from koschey.db.pool import Connection
from koschey.errors import NotAllowed, NotKnown, UsageError
from koschey.model import Actor, Origin, Project, ProjectStatus, Serial, StandingFile, State
from koschey.outbox import ReleaseHeld
from koschey.policy.rules import RuleKind, Rules

MAX_REASON = 2000


class Choice(StrEnum):
    """What can be decided."""

    APPROVE = "approve"
    BLOCK = "block"
    UNBLOCK = "unblock"
    TRUST = "trust"
    UNTRUST = "untrust"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of one person. `version` None is the whole project."""

    choice: Choice
    project: NormalizedName
    version: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision changed."""

    serial: Serial | None
    """None where it changed nothing: it was so already."""
    filenames: tuple[str, ...]

    def __str__(self) -> str:
        if self.serial is None:
            return "nothing to change"
        return f"serial {self.serial}, {len(self.filenames)} file{'s' if len(self.filenames) != 1 else ''} moved"


async def decide(connection: Connection, actor: Actor, decision: Decision) -> Outcome:
    """Carry out a decision.

    Raises `NotAllowed` where the reviewer may not decide this, `NotKnown` where there is no such release, and
    `UsageError` where the decision cannot be made as things stand.
    """
    _check(decision)
    async with connection.transaction():
        if actor.door != "cli":
            await _check_reviewer(connection, actor, decision.project)
        project = await projects.lock_project(connection, decision.project)
        known = await files.lock_release_files(connection, decision.project, decision.version)
        return await CHOICES[decision.choice](_Change(connection, actor, decision, project, known))


def _check(decision: Decision) -> None:
    if not decision.reason.strip() or len(decision.reason) > MAX_REASON:
        raise UsageError(f"give a reason of 1 to {MAX_REASON} characters; it is kept with the decision")
    if decision.choice is Choice.APPROVE and decision.version is None:
        raise UsageError("an approval is for one release; write it as 'name==version', or trust the project")


async def _check_reviewer(connection: Connection, actor: Actor, project: NormalizedName) -> None:
    account = await select_account(connection, actor.name)
    if account is None:
        raise NotAllowed(f"there is no reviewer {actor.name!r} here")
    authorize(account, Action.DECIDE, project)


@dataclass(frozen=True, slots=True)
class _Change:
    """A decision on its way into the database."""

    connection: Connection
    actor: Actor
    decision: Decision
    project: Project | None
    known: Sequence[StandingFile]

    @property
    def origin(self) -> Origin:
        """A name that is not known here yet would become a mirrored project."""
        return self.project.origin if self.project else Origin.MIRRORED

    def in_state(self, *states: State) -> list[StandingFile]:
        return [known for known in self.known if known.standing.state in states]

    def require_known(self) -> None:
        if not self.known:
            release = f"=={self.decision.version}" if self.decision.version else ""
            raise NotKnown(
                f"{self.decision.project}{release} is not known here; "
                "ask the index for the project's page first, or check the spelling"
            )

    async def move(self, moved: Sequence[StandingFile], state: State) -> None:
        reason = f"{self.decision.choice} by {self.actor.name}: {self.decision.reason}"
        await files.update_states(self.connection, [known.file.id for known in moved], state, reason)

    async def record(self, moved: Sequence[StandingFile]) -> Outcome:
        """Write the journal and the decision: one row for each file it binds, or one for the whole scope."""
        detail: dict[str, object] = {"reason": self.decision.reason}
        entries = [Entry(known.file.version, known.file.filename, detail) for known in moved]
        bound = [(known.file.version, known.file.filename, known.file.sha256) for known in moved]
        project, choice = self.decision.project, self.decision.choice
        serial = await journal.insert_entries(
            self.connection, self.actor, choice, project, entries or [Entry(self.decision.version, None, detail)]
        )
        await decisions.insert_decisions(
            self.connection,
            serial,
            self.actor,
            choice,
            project,
            bound or [(self.decision.version, None, None)],
            self.decision.reason,
        )
        for version in sorted({known.file.version for known in moved}):
            await insert_message(self.connection, ReleaseHeld(project, version))
        return Outcome(serial, tuple(known.file.filename for known in moved))

    async def in_force(self) -> Rules:
        """Return the rules that are in force now; a block among them beats every other decision."""
        return await rules.select_rules(self.connection, self.decision.project, self.origin)

    async def put_rule(self, kind: RuleKind) -> None:
        decision = self.decision
        await rules.upsert_rule(self.connection, kind, decision.project, decision.version, decision.reason, self.actor)


async def _approve(change: _Change) -> Outcome:
    change.require_known()
    if change.project and change.project.status is ProjectStatus.QUARANTINED:
        name, reason = change.project.name, change.project.status_reason or "it gives no reason"
        if change.project.origin is Origin.HOSTED:
            raise UsageError(f"{name} is quarantined ({reason}); lift it first: koschey status {name} active")
        raise UsageError(f"the upstream has quarantined {name} ({reason}); nothing of it is served")
    if blocked := change.in_state(State.BLOCKED):
        raise UsageError(
            f"{blocked[0].file.filename} is blocked ({blocked[0].standing.reason}); unblock the release first"
        )
    if stuck := change.in_state(State.MALFORMED, State.CONFLICT):
        raise UsageError(f"{stuck[0].file.filename} is {stuck[0].standing.state}: {stuck[0].standing.reason}")
    held, in_force = change.in_state(State.HELD), await change.in_force()
    if covered := [rule for known in held if (rule := in_force.find(RuleKind.BLOCKED, known.file.version))]:
        raise UsageError(f"a block of {covered[0].actor} is in force ({covered[0].reason}); lift it first")
    if unknown := [known for known in held if known.file.sha256 is None or known.file.path is None]:
        raise UsageError(f"{unknown[0].file.filename} is not fetched yet; an approval binds its sha256, try again soon")
    if not held:
        return Outcome(None, ())
    await change.move(held, State.RELEASED)
    return await change.record(held)


async def _block(change: _Change) -> Outcome:
    moved = change.in_state(State.HELD, State.RELEASED, State.MALFORMED, State.CONFLICT)
    # The rule is for what is still to come: later files of the release, later releases of the project.
    await change.put_rule(RuleKind.BLOCKED)
    await change.move(moved, State.BLOCKED)
    return await change.record(moved)


async def _unblock(change: _Change) -> Outcome:
    lifted = await rules.delete_rule(
        change.connection, RuleKind.BLOCKED, change.decision.project, change.decision.version
    )
    in_force = await change.in_force()
    if change.decision.version and (rule := in_force.find(RuleKind.BLOCKED, change.decision.version)):
        raise UsageError(f"the whole project is blocked by {rule.actor} ({rule.reason}); unblock the project")
    blocked = change.in_state(State.BLOCKED)
    moved = [known for known in blocked if not in_force.find(RuleKind.BLOCKED, known.file.version)]
    if not lifted and not moved:
        return Outcome(None, ())
    await change.move(moved, State.HELD)
    return await change.record(moved)


async def _trust(change: _Change) -> Outcome:
    await change.put_rule(RuleKind.TRUSTED)
    in_force = await change.in_force()
    ready = [
        known
        for known in change.in_state(State.HELD)
        if known.file.sha256 and known.file.path and not in_force.find(RuleKind.BLOCKED, known.file.version)
    ]
    await change.move(ready, State.RELEASED)
    return await change.record(ready)


async def _untrust(change: _Change) -> Outcome:
    """What was let out stays out; files to come are held again."""
    kind, decision = RuleKind.TRUSTED, change.decision
    if not await rules.delete_rule(change.connection, kind, decision.project, decision.version):
        return Outcome(None, ())
    return await change.record([])


CHOICES = {
    Choice.APPROVE: _approve,
    Choice.BLOCK: _block,
    Choice.UNBLOCK: _unblock,
    Choice.TRUST: _trust,
    Choice.UNTRUST: _untrust,
}
