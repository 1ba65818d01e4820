"""Everything that can happen to a mirrored project, in any order, and what must hold after each step.

Hypothesis chooses the steps. Beside the real index stands `reference.Reference`; what is served must be within what it
allows. I1 to I10 are the invariants of the quarantine; I9, that nobody approves an upload of their own, has nothing
here to be seen from: what is uploaded starts released, and `approve` is of mirrored files alone.
"""

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from archives import wheel
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import booleans, sampled_from
from inside import REVIEWER, Inside
from packaging.utils import NormalizedName
from reference import Reference
from running import JSON

from koschey.db import files, journal
from koschey.db.pool import Connection
from koschey.db.projects import select_project
from koschey.errors import KoscheyError, UsageError
from koschey.model import Actor
from koschey.publish.decide import Choice, Decision, decide
from koschey.publish.policy import set_rule, unset_rule
from koschey.publish.policy_terms import Terms
from koschey.storage.s3 import blob_key

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LETTERS = sampled_from(["a"])
"""One project an example: what happens to it happens more often."""
LOOKED = sampled_from([True, True, True, False])
VERSIONS = sampled_from(["1.0", "2.0"])
SCOPES = sampled_from(["1.0", "2.0", None])
BLOCKS = sampled_from([("block",), ("unblock",), ("block", "unblock")])
TAGS = sampled_from(["py3-none-any", "py2-none-any"])
AGES = sampled_from([HOUR, 3 * DAY, 30 * DAY, -2 * DAY])
SPANS = sampled_from([HOUR, 2 * DAY, 5 * DAY, 8 * DAY])
MANAGER = Actor(REVIEWER, "api")
EXAMPLES = itertools.count()
MOVES = frozenset(
    {"approve", "block", "unblock", "trust", "recall", "released", "blocked", "held", "conflict", "malformed"}
)
"""Actions of the journal that move a file."""
FACTS = re.compile(r'<a href="[^"#]*#sha256=([0-9a-f]{64})"([^>]*)>([^<]*)</a>')


class Quarantine(RuleBasedStateMachine):
    """The machine. `inside` is set by whoever runs it; each example has names of its own in it."""

    inside: Inside

    def __init__(self) -> None:
        super().__init__()
        self.stem = f"m{next(EXAMPLES)}"
        self.references = {letter: Reference(self.inside.settings.window) for letter in "a"}
        self.served_bytes: dict[str, str] = {}
        self.blobs_checked: set[str] = set()
        self.states: dict[str, str] = {}
        self.serial = self._head()
        self.told: object = None
        self.known: set[str] = set()

    @initialize()
    def reserve_a_name(self) -> None:
        """One name is kept for private packages, and the upstream has a project of that name."""
        self.inside.upstream.add(f"{self.stem}-ours", "99.0")
        self.inside.upstream.forget_requests()
        self._in_transaction(
            lambda connection: set_rule(connection, MANAGER, Terms("reserved", f"{self.stem}-ours", reason="ours"))
        )

    # What the upstream does.

    @rule(letter=LETTERS, version=VERSIONS, tag=TAGS, age=AGES, looked=LOOKED)
    def upstream_adds(self, letter: str, version: str, tag: str, age: timedelta, *, looked: bool) -> None:
        """A file, perhaps late, perhaps backdated, perhaps from the future; mostly it is seen at once."""
        self._add(letter, version, tag, age)
        if looked:
            self.look(letter, dated=True, hashed=True)

    def _add(self, letter: str, version: str, tag: str, age: timedelta) -> None:
        name = f"{self.stem}_{letter}-{version}-{tag}.whl"
        with suppress(KeyError):
            self.inside.upstream.file(name)
            return
        content = wheel(self.name(letter), version)[1]
        self.inside.upstream.add(
            self.name(letter), version, upload_time=self.inside.now - age, filename=name, content=content
        )

    @rule(letter=LETTERS, version=VERSIONS)
    def upstream_replaces(self, letter: str, version: str) -> None:
        """Other bytes under a known filename."""
        for name in self._listed(letter, version):
            self.inside.upstream.replace(name, wheel(self.name(letter), version, padding=len(name))[1])

    @rule(letter=LETTERS, version=VERSIONS, yanked=booleans())
    def upstream_yanks(self, letter: str, version: str, yanked: bool) -> None:
        """A release is yanked, or it is not any more."""
        if self._listed(letter, version):
            change = self.inside.upstream.yank if yanked else self.inside.upstream.unyank
            change(self.name(letter), version)

    @rule(letter=LETTERS, version=VERSIONS)
    def upstream_removes(self, letter: str, version: str) -> None:
        """A release is deleted."""
        if self._listed(letter, version):
            self.inside.upstream.remove_release(self.name(letter), version)

    @rule(letter=LETTERS, status=sampled_from(["quarantined", "active"]))
    def upstream_quarantines(self, letter: str, status: str) -> None:
        """The upstream closes a project, or opens it again."""
        if self.inside.upstream.project_detail(self.name(letter)):
            self.inside.upstream.set_status(self.name(letter), status)

    @rule(letter=LETTERS)
    def upstream_loses_project(self, letter: str) -> None:
        """A project vanishes; whoever adds a file later may be another."""
        if self.inside.upstream.project_detail(self.name(letter)):
            self.inside.upstream.remove_project(self.name(letter))

    # What the index does by itself.

    @rule(letter=LETTERS, dated=sampled_from([True, True, True, False]), hashed=sampled_from([True, True, True, False]))
    def look(self, letter: str, dated: bool, hashed: bool) -> None:
        """The page is read again; it may lack times and digests."""
        upstream = self.inside.upstream
        upstream.upload_times, upstream.hashes = dated, "sha256" if hashed else None
        try:
            page = upstream.project_detail(self.name(letter))
            self.inside.look(self.name(letter))
        finally:
            upstream.upload_times, upstream.hashes = True, "sha256"
        if page is not None or self._is_known(letter):
            self.references[letter].look(page, self.inside.now)

    @rule(letter=LETTERS)
    def store(self, letter: str) -> None:
        """The worker fetches what is held."""
        for name in self._known_names(letter):
            with suppress(KoscheyError):
                self.inside.store(name)

    @rule(letter=LETTERS, version=VERSIONS, again=booleans())
    def settle(self, letter: str, version: str, again: bool) -> None:
        """A timer fires: early, late or twice."""
        reference = self.references[letter]
        due = [
            name
            for name, known in reference.files.items()
            if known.version == version and not known.out and reference.is_due(known, self.inside.now)
        ]
        for _ in range(1 + again):
            self.inside.settle(self.name(letter), version)
        reference.settle(version, self.inside.now)
        if not reference.estranged:
            states = self._states(letter)
            assert all(states[name] == "released" for name in due), f"what was due is held: {due} {states}"

    @rule(span=SPANS)
    def time_passes(self, span: timedelta) -> None:
        """Hours or days go by."""
        self.inside.pass_time(span)

    @rule()
    def restart(self) -> None:
        """The process ends, and another starts with nothing in its memory (I7)."""
        before = self._served("a")
        self.inside.stop()
        self.inside.start()
        assert self._served("a") == before

    @rule(letter=LETTERS, skew=sampled_from([-7 * DAY, 7 * DAY]))
    def clock_is_wrong(self, letter: str, skew: timedelta) -> None:
        """The clock of a process is days off while it looks and settles: PostgreSQL's alone decides."""
        import time  # noqa: PLC0415 - patched here

        wrong = time.time() + skew.total_seconds()
        with patch("time.time", lambda: wrong):
            self.look(letter, dated=True, hashed=True)
            for version in ("1.0", "2.0"):
                self.settle(letter, version, again=False)

    @rule(letter=LETTERS)
    def die_between_bytes_and_row(self, letter: str) -> None:
        """A process dies when the bytes are in the bucket and no row says so: nothing is stored, nothing is lost."""
        before = self._stored(letter)
        with _dying(files, "update_stored"):
            self.store(letter)
        assert self._stored(letter) == before

    @rule(letter=LETTERS, choice=sampled_from(["block", "approve", "trust"]), version=VERSIONS)
    def die_in_a_decision(self, letter: str, choice: str, version: str) -> None:
        """A decision that cannot be journalled did not happen (I4)."""
        before = self._rows(letter)
        with _dying(journal, "insert_entries"), suppress(OSError, KoscheyError):
            self._decide(letter, choice, None if choice == "trust" else version)
        assert self._rows(letter) == before

    # What people do.

    @rule(letter=LETTERS, version=VERSIONS)
    def approve(self, letter: str, version: str) -> None:
        """A reviewer lets one release out."""
        if self._decide(letter, "approve", version):
            self.references[letter].decide("approve", version, self.inside.now)

    @rule(letter=LETTERS, version=SCOPES, choices=BLOCKS)
    def block(self, letter: str, version: str | None, choices: tuple[str, ...]) -> None:
        """A reviewer blocks a release or a project, or lifts that; what was blocked is held from then on."""
        for choice in choices:
            if self._decide(letter, choice, version):
                self.references[letter].decide(choice, version, self.inside.now)

    @rule(letter=LETTERS, choice=sampled_from(["trust", "untrust"]))
    def trust(self, letter: str, choice: str) -> None:
        """A reviewer trusts a project, or does so no more."""
        if self._decide(letter, choice, None):
            self.references[letter].decide(choice, None, self.inside.now)

    @rule(letter=LETTERS, version=VERSIONS, choice=sampled_from(["extend", "except"]), days=sampled_from([1.0, 20.0]))
    def hold_on_or_except(self, letter: str, version: str, choice: str, days: float) -> None:
        """A reviewer holds a release longer, or lets its bytes through for a time."""
        if self._decide(letter, choice, version, days=days, ticket="T-1" if choice == "except" else None):
            self.references[letter].decide(choice, version, self.inside.now, timedelta(days=days))

    @rule(letter=LETTERS, kind=sampled_from(["window", "allowed-only", "observed"]), days=sampled_from([1, 20]))
    def set_policy(self, letter: str, kind: str, days: int) -> None:
        """An admin changes the policy."""
        value = str(days) if kind == "window" else None
        terms = Terms(kind, self.name(letter), value, reason="a test")
        self._in_transaction(lambda connection: set_rule(connection, MANAGER, terms))
        self._set(letter, kind, timedelta(days=days))

    @rule(letter=LETTERS, kind=sampled_from(["window", "allowed-only", "observed"]))
    def unset_policy(self, letter: str, kind: str) -> None:
        """An admin takes a rule back."""
        with suppress(UsageError):
            self._in_transaction(
                lambda connection: unset_rule(connection, MANAGER, kind, self.name(letter), None, "a test")
            )
            self._set(letter, kind, None)

    @rule(spelling=sampled_from(["{}-ours", "{}_Ours", "{}..OURS"]))
    def ask_for_a_reserved_name(self, spelling: str) -> None:
        """Somebody asks for a private name that is not here."""
        name = spelling.format(self.stem)
        answer = self.inside.ask(f"/simple/{name}/")
        assert answer.status in (200, 403), answer
        assert b"99.0" not in answer.body

    # What must hold.

    @invariant()
    def served_is_within_what_is_allowed(self) -> None:
        """I1, I2, I3, I10: what is served, and what is listed, is allowed, is one, and is what it was."""
        for letter, reference in self.references.items():
            if not self._is_known(letter):
                continue
            allowed = reference.may_serve(self.inside.now)
            listed = {file["filename"]: file for file in self._page(letter)["files"]}
            assert set(listed) <= allowed, f"listed, but not allowed: {set(listed) - allowed}"
            for name in self._known_names(letter):
                self._check_bytes(letter, name, listed.get(name), allowed)
            reference.observe(self._states(letter))

    @invariant()
    def every_edge_has_one_entry(self) -> None:
        """I4: each file that moved since the last step has one entry in the journal, which has no gaps."""
        states = self._states("a")
        rows = self.inside.fetch("SELECT serial, action, filename FROM journal WHERE serial > $1", self.serial)
        for name in states:
            actions = [row["action"] for row in rows if row["filename"] == name]
            if name not in self.states:
                assert actions.count("add file") == 1, (name, actions)
            elif self.states[name] != states[name]:
                assert sum(action in MOVES for action in actions) == 1, (name, self.states[name], states[name], actions)
        (counted,) = self.inside.fetch("SELECT count(*) AS rows, max(serial) AS last FROM journal")
        assert counted["rows"] == counted["last"] == self._head()
        self.states, self.serial = states, self._head()

    @invariant()
    def stored_rows_have_their_blobs(self) -> None:
        """I5: a row that says stored has its bytes, of that size and digest, in the bucket."""
        query = "SELECT sha256, size, stored_at FROM file JOIN project ON project.id = project_id WHERE name LIKE $1"
        for row in self.inside.fetch(query, f"{self.stem}-%"):
            if row["stored_at"] and row["sha256"] not in self.blobs_checked:
                blob = self.inside.run(self.inside.resources.bucket.get(blob_key(row["sha256"])))
                assert (len(blob), hashlib.sha256(blob).hexdigest()) == (row["size"], row["sha256"])
                self.blobs_checked.add(row["sha256"])

    @invariant()
    def reserved_name_was_never_asked_for(self) -> None:
        """I6: the upstream heard nothing of the reserved name."""
        assert not [request for request in self.inside.upstream.requests if "ours" in request.path]

    @invariant()
    def pages_say_what_is_stored(self) -> None:
        """I8: every fact of a page is the row's, and the HTML page says the same as the JSON page."""
        if self.told == (moment := (self._head(), self.inside.now)):
            return
        self.told = moment
        for letter in self.references:
            if self._is_known(letter):
                page = self._page(letter)
                text = self.inside.ask(f"/simple/{self.name(letter)}/", Accept="text/html").body.decode()
                assert [(sha256, name) for sha256, _, name in FACTS.findall(text)] == [
                    (file["hashes"]["sha256"], file["filename"]) for file in page["files"]
                ]
                for file, (_, attributes, _) in zip(page["files"], FACTS.findall(text), strict=True):
                    self._check_facts(file, attributes)

    def teardown(self) -> None:
        """Leave no project behind that the next example could meet."""
        for letter in "a":
            with suppress(KeyError):
                self.inside.upstream.remove_project(self.name(letter))

    # How it is asked.

    def name(self, letter: str) -> NormalizedName:
        """The project's name in this example."""
        return NormalizedName(f"{self.stem}-{letter}")

    def _check_bytes(self, letter: str, name: str, listed: Any, allowed: set[str]) -> None:
        item = self.inside.file(name).file
        if item.path is None:
            assert listed is None
            return
        answer = self.inside.ask(item.path)
        assert answer.status != 200 or name in allowed, f"served, but not allowed: {name}"
        if answer.status != 200:
            # What was let out and never fetched may be gone upstream.
            unfetched = item.stored_at is None and answer.status in (0, 404, 502, 503)
            assert listed is None or unfetched, (name, answer)
            return
        digest = hashlib.sha256(answer.body).hexdigest()
        assert listed is not None, f"served, but not listed: {name}"
        assert digest == listed["hashes"]["sha256"]
        assert digest == self.served_bytes.setdefault(name, digest), f"other bytes under {name}"
        assert digest == self.references[letter].files[name].sha256
        self.references[letter].store(name, digest)

    def _check_facts(self, file: dict[str, Any], attributes: str) -> None:
        item = self.inside.file(file["filename"]).file
        assert file["hashes"]["sha256"] == item.sha256
        assert file.get("size") == item.size
        assert (file.get("upload-time") is None) == (item.upload_time is None)
        assert bool(file["yanked"]) == (item.yanked is not None) == ("data-yanked" in attributes)
        assert file.get("requires-python") == item.requires_python
        assert ("data-requires-python" in attributes) == (item.requires_python is not None)

    def _decide(self, letter: str, choice: str, version: str | None, **more: Any) -> bool:
        """Decide as a reviewer; False where that was refused."""
        decision = Decision(Choice(choice), self.name(letter), version, "a test", **more)
        try:
            self._in_transaction(lambda connection: decide(connection, MANAGER, decision))
        except KoscheyError:
            return False
        return True

    def _in_transaction(self, work: Callable[[Connection], Any]) -> None:
        async def run() -> None:
            async with self.inside.resources.pool.acquire() as connection:
                await work(connection)

        self.inside.run(run())
        self.inside.hear_all()

    def _set(self, letter: str, kind: str, window: timedelta | None) -> None:
        reference = self.references[letter]
        match kind:
            case "window":
                reference.window = window
            case "allowed-only":
                reference.allowed_only = window is not None
            case _:
                reference.observed = window is not None

    def _page(self, letter: str) -> Any:
        return self.inside.ask(f"/simple/{self.name(letter)}/", Accept=JSON).json

    def _served(self, letter: str) -> list[str]:
        return [file["filename"] for file in self._page(letter)["files"]] if self._is_known(letter) else []

    def _is_known(self, letter: str) -> bool:
        if letter not in self.known and self.inside.run(select_project(self.inside.resources.pool, self.name(letter))):
            self.known.add(letter)
        return letter in self.known

    def _listed(self, letter: str, version: str) -> list[str]:
        page = self.inside.upstream.project_detail(self.name(letter))
        return [file["filename"] for file in page["files"] if f"-{version}-" in file["filename"]] if page else []

    def _known_names(self, letter: str) -> list[str]:
        return list(self._states(letter))

    def _states(self, letter: str) -> dict[str, str]:
        return {row["filename"]: row["state"] for row in self._rows(letter)}

    def _stored(self, letter: str) -> list[str]:
        return [row["filename"] for row in self._rows(letter) if row["stored_at"]]

    def _rows(self, letter: str) -> list[Any]:
        return self.inside.fetch(
            "SELECT filename, state, reason, stored_at FROM file JOIN standing ON file_id = file.id"
            " JOIN project ON project.id = project_id WHERE name = $1 ORDER BY file.id",
            self.name(letter),
        )

    def _head(self) -> int:
        (row,) = self.inside.fetch("SELECT serial FROM journal_head")
        return int(row["serial"])


@contextmanager
def _dying(module: Any, name: str) -> Iterator[None]:
    """Let whoever calls this function die there."""

    async def die(*_: object, **__: object) -> None:
        raise OSError("the process died")

    with patch.object(module, name, die):
        yield
