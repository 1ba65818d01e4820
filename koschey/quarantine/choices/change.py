"""Writes a decision to the database: the files that it is about, and the rows that every choice writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from koschey.causes import Cause, CauseKind, Grounds
from koschey.db import decisions, rules, standings
from koschey.db.journal import Entry
from koschey.db.outbox import insert_messages
from koschey.db.pool import Connection
from koschey.db.proposals import Proposal, close_proposals
from koschey.db.record import Record
from koschey.db.requests import answer_requests
from koschey.errors import NotKnown, UsageError
from koschey.events import AlertKind, Event
from koschey.model import Actor, Origin, Project, ProjectStatus, StandingFile, State
from koschey.outbox import ReleaseHeld
from koschey.policy.rules import Rule, RuleKind, Rules
from koschey.quarantine.decision import Choice, Decision, DecisionOutcome

ANSWERS = (Choice.APPROVE, Choice.EXCEPT, Choice.TRUST, Choice.BLOCK, Choice.RECALL)
"""Choices that answer the requests for the releases that they bind."""


@dataclass(frozen=True, slots=True)
class DecisionChange:
    """A decision with its project and files, which are locked."""

    connection: Connection
    actor: Actor
    decision: Decision
    project: Project | None
    known: Sequence[StandingFile]
    seconds: Proposal | None = None
    """The proposal of another person to which this actor agrees."""

    @property
    def origin(self) -> Origin:
        """The origin of the project. A name that is not known here yet would become a mirrored project."""
        return self.project.origin if self.project else Origin.MIRRORED

    @property
    def author(self) -> Actor:
        """The first person who decided this; the one who agreed is `seconded_by`."""
        return Actor(self.seconds.actor, self.seconds.door) if self.seconds else self.actor

    @property
    def seconded_by(self) -> str | None:
        """The second person, if there were two."""
        return self.actor.name if self.seconds else None

    @property
    def reason(self) -> str:
        """The reason in the words of the author."""
        return self.seconds.reason if self.seconds else self.decision.reason

    @property
    def ticket(self) -> str | None:
        """The ticket that documents the reason elsewhere."""
        return (self.seconds.ticket if self.seconds else None) or self.decision.ticket

    @property
    def cause(self) -> Cause:
        """The cause of the file states that it sets."""
        decision = self.decision
        return Cause(CauseKind.DECISION, decision.choice, decision.project, decision.version)

    def in_state(self, *states: State) -> list[StandingFile]:
        """Return the files that are in one of the states."""
        return [known for known in self.known if known.standing.state in states]

    def require_known(self) -> None:
        """Raise `NotKnown` if there is no file in the scope."""
        if not self.known:
            raise NotKnown(
                f"{self.decision.scope} is not known here; request the project's page first, or check the spelling"
            )

    def require_open(self, active_rules: Rules) -> None:
        """Raise `UsageError` if a reviewer cannot release any file of the release."""
        self._require_no_quarantine()
        if blocked := self.in_state(State.BLOCKED):
            raise UsageError(
                f"{blocked[0].file.filename} is blocked ({blocked[0].standing.reason}); unblock the release first"
            )
        if stuck := self.in_state(State.MALFORMED, State.CONFLICT):
            raise UsageError(f"{stuck[0].file.filename} is {stuck[0].standing.state}: {stuck[0].standing.reason}")
        for known in self.in_state(State.HELD):
            if rule := active_rules.find(RuleKind.BLOCKED, known.file.version):
                raise UsageError(f"a block by {rule.actor} is active ({rule.reason}); lift it first")
            if self.origin is Origin.MIRRORED and (rule := active_rules.find(RuleKind.RESERVED, known.file.version)):
                raise UsageError(f"the name is reserved for private packages ({rule.reason}); no file of it is served")

    def _require_no_quarantine(self) -> None:
        if self.project and self.project.status is ProjectStatus.QUARANTINED:
            name, reason = self.project.name, self.project.status_reason or "no reason given"
            if self.project.origin is Origin.HOSTED:
                raise UsageError(f"{name} is quarantined ({reason}); lift it first: koschey status {name} active")
            raise UsageError(f"the upstream has quarantined {name} ({reason}); no file of it is served")

    async def active(self) -> Rules:
        """Return the rules that are active now; a block among them beats every other decision."""
        return await rules.select_rules(self.connection, self.decision.project, self.origin)

    async def put_rule(self, kind: RuleKind) -> None:
        """Set a rule for the decision's scope."""
        await rules.write_rule(self.connection, replace(self._rule(kind), seconded_by=self.seconded_by))

    def _rule(self, kind: RuleKind) -> Rule:
        decision = self.decision
        return Rule(kind, decision.version, self.reason, self.author.name, decision.project, ticket=self.ticket)

    def own_rule(self, kind: RuleKind, active_rules: Rules) -> Rule | None:
        """Return the rule of exactly the decision's scope."""
        project, version = self.decision.project, self.decision.version
        of_kind = (rule for rule in active_rules.rules if rule.kind is kind)
        return next((rule for rule in of_kind if (rule.scope, rule.version) == (project, version)), None)

    def says_the_same(self, rule: Rule | None) -> bool:
        """Return whether the rule already is as this decision would write it."""
        return rule is not None and replace(rule, seconded_by=None) == self._rule(rule.kind)

    async def move(self, moved: Sequence[StandingFile], state: State) -> None:
        """Move files to a state, and record with each who decided it and why."""
        seconded = f", seconded by {self.seconded_by}" if self.seconded_by else ""
        reason = f"{self.decision.choice} by {self.author.name}{seconded}: {self.reason}"
        await standings.update_states(
            self.connection, [known.file.id for known in moved], state, Grounds(self.cause, reason)
        )

    async def record(
        self,
        bound: Sequence[StandingFile],
        detail: Mapping[str, object] | None = None,
        *,
        whole: bool = False,
        done: str = "moved",
        alert: AlertKind | None = None,
    ) -> DecisionOutcome:
        """Write the journal and the decision: one row for each file that it binds, or one for the whole scope.

        With `whole`, a decision about a project also gets a row for the project if it binds files. `alert` is the kind
        of the alert that the decision raises, if any.
        """
        decision, scope = self.decision, (self.decision.version, None, None)
        await self._notify(bound)
        record = Record(self.connection, self.actor, decision.project)
        record.add(Event(decision.choice), self._entries(bound, detail or {}))
        if alert is not None:
            said: dict[str, object] = {"reason": self.reason, "actor": self.actor.name, "files": len(bound)}
            record.alert(alert, [Entry(decision.version, None, said)])
        serial = await record.write()
        assert serial is not None
        # A decision names its row of the journal, so only the decision is written after it.
        of_files = [(known.file.version, known.file.filename, known.file.sha256) for known in bound]
        await decisions.insert_decisions(
            self.connection,
            serial,
            self.author,
            decision.choice,
            decision.project,
            [scope, *of_files] if not of_files or (whole and decision.version is None) else of_files,
            self.reason,
            ticket=self.ticket,
            seconded_by=self.seconded_by,
        )
        return DecisionOutcome(serial, tuple(known.file.filename for known in bound), done=done)

    async def _notify(self, bound: Sequence[StandingFile]) -> None:
        """Close the proposals and requests that the decision answers, and wake the workflows of its releases."""
        decision, versions = self.decision, sorted({known.file.version for known in bound})
        if self.seconds:
            await close_proposals(
                self.connection, decision.project, decision.version or "", decision.choice, self.actor.name
            )
        if decision.choice in ANSWERS:
            for version in versions:
                await answer_requests(self.connection, decision.project, version)
        await insert_messages(self.connection, [ReleaseHeld(decision.project, version) for version in versions])

    def _entries(self, bound: Sequence[StandingFile], detail: Mapping[str, object]) -> list[Entry]:
        said: dict[str, object] = {"reason": self.reason}
        if self.ticket:
            said["ticket"] = self.ticket
        if self.seconds:
            said |= {"proposed_by": self.author.name, "seconded_by": self.actor.name, "seconded": self.decision.reason}
        said |= detail
        entries = [Entry(known.file.version, known.file.filename, said) for known in bound]
        return entries or [Entry(self.decision.version, None, said)]
