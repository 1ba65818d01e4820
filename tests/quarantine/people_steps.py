"""What people do, in the model test: they decide alone and in pairs, set the policy, and ask for releases."""

import json
from contextlib import suppress
from datetime import timedelta

from hypothesis.stateful import rule
from hypothesis.strategies import sampled_from

from koschey.errors import UsageError
from koschey.governance.changes import unset_rule
from koschey.model import Actor
from tests.quarantine.example import MANAGER, PEOPLE, VERSIONS, Asked

SCOPES = sampled_from(["1.0", "2.0", None])
BLOCKS = sampled_from([("block",), ("recall",), ("unblock",), ("block", "unblock"), ("recall", "unblock")])
KINDS = sampled_from(["window", "allowed-only", "observed", "second-person"])
SUBJECTS = sampled_from(["oracle", "oracle/odd", "oracle/evil", "oracle/noted", "advisories/malicious"])
ACTIONS = sampled_from(["off", "note", "hold", "block"])


class PeopleSteps(Asked):
    """Reviewers, admins, and whoever wants to install something."""

    @rule(version=VERSIONS, who=PEOPLE)
    def approve(self, version: str, who: Actor) -> None:
        """A reviewer lets one release out."""
        self.decide(who, "approve", version)

    @rule(version=SCOPES, choices=BLOCKS, who=PEOPLE)
    def block(self, version: str | None, choices: tuple[str, ...], who: Actor) -> None:
        """A reviewer blocks or recalls a release or a project, or lifts that; what was blocked is held from then on."""
        for choice in choices:
            self.decide(who, choice, version)

    @rule(choice=sampled_from(["trust", "trust", "untrust"]), who=PEOPLE)
    def trust(self, choice: str, who: Actor) -> None:
        """A reviewer trusts a project, or does so no more."""
        self.decide(who, choice, None)

    @rule(version=VERSIONS, choice=sampled_from(["extend", "except"]), days=sampled_from([1.0, 20.0]), who=PEOPLE)
    def hold_on_or_except(self, version: str, choice: str, days: float, who: Actor) -> None:
        """A reviewer holds a release longer, or lets its bytes through for a time."""
        self.decide(who, choice, version, days=days, ticket="T-1" if choice == "except" else None)

    @rule(version=VERSIONS, choice=sampled_from(["approve", "trust", "unblock", "except"]), first=PEOPLE, second=PEOPLE)
    def decide_in_turn(self, version: str, choice: str, first: Actor, second: Actor) -> None:
        """Two people decide the same, or one does so twice."""
        more = {"days": 20.0, "ticket": "T-2"} if choice == "except" else {}
        for who in (first, second):
            self.decide(who, choice, None if choice == "trust" else version, **more)

    @rule(kind=KINDS, days=sampled_from([1, 20]))
    def set_policy(self, kind: str, days: int) -> None:
        """An admin changes the policy."""
        self.set_rule(kind, str(days) if kind == "window" else None)
        if kind == "window":
            self.reference.window = timedelta(days=days)
        else:
            self.reference.flags.add(kind)

    @rule(kind=KINDS)
    def unset_policy(self, kind: str) -> None:
        """An admin takes a rule back."""
        with suppress(UsageError):
            self._unset(kind, None)
            self.reference.flags.discard(kind)
            if kind == "window":
                self.reference.window = None

    @rule(subject=SUBJECTS, action=ACTIONS)
    def set_action(self, subject: str, action: str) -> None:
        """An admin says what is done about a check, or about one thing that it finds."""
        self.set_rule("check", action, subject)
        self.reference.evidence.rules[subject] = action

    @rule(subject=SUBJECTS)
    def unset_action(self, subject: str) -> None:
        """An admin leaves that to the check again."""
        with suppress(UsageError):
            self._unset("check", subject)
            del self.reference.evidence.rules[subject]

    @rule(version=VERSIONS)
    def request(self, version: str) -> None:
        """Somebody asks for a release: that is counted, and changes nothing of what is served."""
        before, served, head = self.standing(), self.served(), self.head()
        body = json.dumps({"project": self.project, "version": version, "reason": "a test"}).encode()
        answer = self.app.ask("/api/v1/requests", "POST", self.asker, body, Content_Type="application/json")
        if answer.status < 300:
            self.asked_times[version] = self.asked_times.get(version, 0) + 1
            assert answer.json["times"] == self.asked_times[version]
        else:
            assert 400 <= answer.status < 500, answer
        assert (self.standing(), self.served(), self.head()) == (before, served, head)

    @rule(spelling=sampled_from(["{}-ours", "{}_Ours", "{}..OURS"]))
    def ask_for_a_reserved_name(self, spelling: str) -> None:
        """Somebody asks for a private name that is not here."""
        answer = self.app.ask(f"/simple/{spelling.format(self.project)}/")
        assert answer.status in (200, 403), answer
        assert b"99.0" not in answer.body

    def _unset(self, kind: str, subject: str | None) -> None:
        self.in_transaction(lambda connection: unset_rule(connection, MANAGER, kind, self.project, subject, "a test"))
