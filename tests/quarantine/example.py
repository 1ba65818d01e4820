"""One example of the model test: its project, what the reference knows of it, and how the index is asked."""

import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine
from hypothesis.strategies import sampled_from
from packaging.utils import NormalizedName

from koschey.db.pool import Connection
from koschey.db.projects import select_project
from koschey.errors import KoscheyError
from koschey.governance.changes import set_rule
from koschey.governance.terms import Terms
from koschey.model import Actor
from koschey.quarantine.decide import Choice, Decision, decide
from tests.quarantine.reference import Reference
from tests.quarantine.reference_evidence import Evidence
from tests.support.app_in_process import REVIEWER, SECOND, AppInProcess
from tests.support.chosen_check import Oracle
from tests.support.killed_processes import KillableProcess
from tests.support.koschey_up import JSON

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
VERSIONS = sampled_from(["1.0", "2.0"])
MANAGER = Actor(REVIEWER, "api")
EXAMPLES = itertools.count()
MOVES = frozenset(
    {"approve", "block", "unblock", "trust", "recall", "released", "blocked", "held", "conflict", "malformed"}
)
"""Actions of the journal that move a file."""
BACKWARDS = """
    SELECT serial FROM (SELECT serial, at, lag(at) OVER (ORDER BY serial) AS before FROM journal) AS entry
     WHERE at < before
"""
"""Entries that seem older than the one before them."""


class Asked(RuleBasedStateMachine):
    """The example. The test that runs it sets `app` and `killable`; each has a project of its own in it."""

    app: AppInProcess
    killable: KillableProcess | None = None
    """Processes that can be killed; without it none is."""

    def __init__(self) -> None:
        super().__init__()
        self.project = NormalizedName(f"m{next(EXAMPLES)}-a")
        settings = self.app.settings
        self.reference = Reference(settings.window, Evidence(settings.feed_max_age))
        self.oracle = Oracle()
        self.kills = 0
        self.asker = self.app.account(None)
        self.asked_times: dict[str, int] = {}
        self.served_bytes: dict[str, str] = {}
        self.blobs_checked: set[str] = set()
        self.serial = self.head()
        self.moved_to: dict[str, str] = {}
        self.told: object = None
        self._known = False

    def decide(self, who: Actor, choice: str, version: str | None, **more: Any) -> None:
        """Decide as somebody. What was refused, or waits for a second person, has changed nothing that is served."""
        decision = Decision(Choice(choice), self.project, version, "a test", **more)
        person, before = None if who.door == "signal" else who.name, self.standing()
        try:
            outcome = self.in_transaction(lambda connection: decide(connection, who, decision))
        except KoscheyError:
            assert self.standing() == before, "a refusal changed something"
            return
        if outcome.waits:
            assert self.standing() == before, "one person alone changed something"
            assert person is not None, "a signal proves no name, and has proposed something"
            self.reference.propose(person, choice, version)
        elif outcome.serial is not None:
            self.note_decision(person, choice, version, timedelta(days=more.get("days", 0)))
            self.check_edges()

    def note_decision(self, person: str | None, choice: str, version: str | None, span: timedelta) -> None:
        """A decision is in force: it must have been one that was enough."""
        assert self.reference.agrees(person, choice, version), f"{choice} of {version} by {person} alone"
        self.reference.decide(choice, version, self.app.now, span)

    def set_rule(self, kind: str, value: str | None = None, subject: str | None = None) -> None:
        """Put a rule in force, as the admin."""
        terms = Terms(kind, self.project, value, subject, reason="a test")
        self.in_transaction(lambda connection: set_rule(connection, MANAGER, terms))

    def in_transaction[T](self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do something with a connection, and return once the web process has heard of it."""

        async def run() -> T:
            async with self.app.resources.pool.acquire() as connection:
                return await work(connection)

        try:
            return self.app.run(run())
        finally:
            self.app.hear_all()

    def check_edges(self) -> None:
        """I4: each file that moved since this was last asked has one entry in the journal, which has no gaps."""
        states = self.states()
        rows = self.app.fetch("SELECT serial, action, filename FROM journal WHERE serial > $1", self.serial)
        for name in states:
            actions = [row["action"] for row in rows if row["filename"] == name]
            if name not in self.moved_to:
                assert actions.count("add file") == 1, (name, actions)
            elif self.moved_to[name] != states[name]:
                moves = [action for action in actions if action in MOVES]
                # What was withdrawn and comes back is held, and then released: two edges, each with its entry.
                is_return = (self.moved_to[name], states[name]) == ("blocked", "released")
                wanted = [["held", "released"]] if is_return else []
                assert len(moves) == 1 or moves in wanted, (name, self.moved_to[name], states[name], actions)
        (counted,) = self.app.fetch("SELECT count(*) AS rows, max(serial) AS last FROM journal")
        assert self.app.fetch(BACKWARDS) == []
        assert counted["rows"] == counted["last"] == self.head()
        self.moved_to, self.serial = states, self.head()

    def page(self) -> Any:
        """The project's page, as JSON."""
        return self.app.ask(f"/simple/{self.project}/", Accept=JSON).json

    def served(self) -> list[str]:
        """The filenames on it."""
        return [file["filename"] for file in self.page()["files"]] if self.is_known() else []

    def is_known(self) -> bool:
        """Whether the index knows the project."""
        self._known = self._known or self.looked_at() is not None
        return self._known

    def looked_at(self) -> Any:
        """When the upstream's page was looked at last."""
        found = self.app.run(select_project(self.app.resources.pool, self.project))
        return found and found.looked_at

    def upstream_page(self) -> Any:
        """The upstream's page, or None."""
        return self.app.upstream.project_detail(self.project)

    def listed(self, version: str) -> list[str]:
        """The filenames of a release that the upstream lists."""
        page = self.upstream_page()
        return [file["filename"] for file in page["files"] if f"-{version}-" in file["filename"]] if page else []

    def states(self) -> dict[str, str]:
        """The state of every file."""
        return {row["filename"]: row["state"] for row in self.rows()}

    def stored(self) -> list[str]:
        """The files whose bytes are here."""
        return [row["filename"] for row in self.rows() if row["stored_at"]]

    def rows(self) -> list[Any]:
        """The files as they stand."""
        return self.app.fetch(
            "SELECT filename, version, state, reason, stored_at, sha256, file.id"
            " FROM file JOIN standing ON file_id = file.id"
            " JOIN project ON project.id = project_id WHERE name = $1 ORDER BY file.id",
            self.project,
        )

    def standing(self) -> tuple[list[Any], list[Any]]:
        """All that decides what is served: the files, and the rules."""
        query = "SELECT kind, version, subject, value, expires_at FROM rule WHERE project = $1 ORDER BY 1, 2, 3"
        return self.rows(), self.app.fetch(query, self.project)

    def head(self) -> int:
        """The serial of the last change."""
        (row,) = self.app.fetch("SELECT serial FROM journal_head")
        return int(row["serial"])


PEOPLE = sampled_from([MANAGER, Actor(SECOND, "api"), MANAGER, Actor(SECOND, "api"), Actor(SECOND, "signal")])
"""Two who may decide; one of them also by a signal, which proves nothing."""
