"""What goes wrong, in the model test: processes restart, their clocks are wrong, they die amid a step."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from hypothesis.stateful import rule
from hypothesis.strategies import sampled_from

from koschey.db import journal
from koschey.errors import KoscheyError
from koschey.mirror import fetched_files
from koschey.model import FileId
from koschey.storage.s3 import BlobWriter
from tests.quarantine.example import DAY, MANAGER, VERSIONS
from tests.quarantine.invariants import Invariants
from tests.quarantine.people_steps import PeopleSteps
from tests.quarantine.worker_steps import ANSWERS, WorkerSteps
from tests.support.app_in_process import REVIEWER
from tests.support.killed_processes import Order

KILLS = 2
"""In one example: each costs a new process."""
DELAYS = sampled_from([0, 1, 2, 3, 5, 8, 13, 21, 34])
"""Milliseconds."""
ORDERS = sampled_from(["look", "store", "store", "check", "settle", "decide"])
BYTES = ((BlobWriter, "commit"),)
ROWS = ((fetched_files, "write_stored"), (fetched_files, "write_changed"))
"""Both statements that record stored bytes."""
SESSIONS = "SELECT count(*) AS left FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"
END_LEASES = "UPDATE lease SET until = now() - interval '1 second'"


class FaultSteps(WorkerSteps, PeopleSteps, Invariants):
    """Whatever happens, a step is done or it is not, and doing it again does it."""

    @rule()
    def restart(self) -> None:
        """The process ends, and another starts with nothing in its memory (I7)."""
        before = self.served()
        self.app.stop()
        self.app.start()
        assert self.served() == before

    @rule(skew=sampled_from([-7 * DAY, 7 * DAY]))
    def clock_is_wrong(self, skew: timedelta) -> None:
        """The clock of a process is days off while it looks and settles: PostgreSQL's alone decides."""
        import time  # noqa: PLC0415 - patched here

        wrong = time.time() + skew.total_seconds()
        with patch("time.time", lambda: wrong):
            self.look()
            for version in ("1.0", "2.0"):
                self.settle(version)

    @rule(where=sampled_from([BYTES, ROWS]))
    def die_around_the_bytes(self, where: Sequence[tuple[Any, str]]) -> None:
        """A process dies before the bytes are in the bucket, or before a row says so: nothing is stored, nor lost."""
        before = self.stored()
        with ExitStack() as dying:
            for place in where:
                dying.enter_context(_dying(*place))
            for name in self.states():
                with suppress(KoscheyError, OSError):
                    self.app.store(name)
        assert self.stored() == before

    @rule(choice=sampled_from(["block", "approve", "trust", "recall"]), version=VERSIONS)
    def die_in_a_decision(self, choice: str, version: str) -> None:
        """A decision that cannot be journalled did not happen (I4)."""
        before = self.standing()
        with _dying(journal, "write_lines"), suppress(OSError):
            self.decide(MANAGER, choice, None if choice == "trust" else version)
        assert self.standing() == before

    @rule(step=ORDERS, version=VERSIONS, answer=ANSWERS, choice=sampled_from(["approve", "block", "recall"]), ms=DELAYS)
    def be_killed(self, step: str, version: str, answer: str, choice: str, ms: int) -> None:
        """A process of its own is killed in the middle of a step; all holds, and to do the step again completes it."""
        if self.killable is None or self.kills == KILLS:
            return
        self.kills += 1
        self.app.pass_time(timedelta(seconds=1))
        page, head = self.upstream_page(), self.head()
        known = tuple(FileId(row["id"]) for row in self.rows())
        order = Order(step, self.project, version, answer if step == "check" else choice, MANAGER, known)
        asked = self.killable.die_in(order, ms / 1000)
        self._outlive(self.killable.name)
        self.killable.start()
        if step == "look" and self.looked_at() == self.app.now:
            self.reference.look(page, self.app.now)
        elif self.head() != head:
            self._note_done(order)
        self.check_all()
        self._repeat(order)
        if step == "check":
            self.note_answers(asked, answer)

    def _outlive(self, dead: str) -> None:
        """Wait until PostgreSQL has noticed the death, and until what the dead had leased is free."""
        for _ in range(1000):
            if not self.app.fetch(SESSIONS, dead)[0]["left"]:
                break
        else:
            raise AssertionError("sessions of the dead are left")
        self.app.execute(END_LEASES)
        self.app.hear_all()

    def _note_done(self, order: Order) -> None:
        """Something of the step was committed; what consists of one transaction is done then."""
        if order.step == "settle":
            self.reference.settle(order.version, self.app.now)
        elif order.step == "decide":
            (last,) = self.app.fetch("SELECT action FROM journal WHERE serial = $1", self.head())
            if last["action"] == "propose":
                self.reference.propose(REVIEWER, order.choice, order.version)
            else:
                self.note_decision(REVIEWER, order.choice, order.version, timedelta(0))

    def _repeat(self, order: Order) -> None:
        match order.step:
            case "look":
                self.look()
                assert not self.is_known() or self.looked_at() == self.app.now
            case "store":
                self.store()
            case "check":
                self.check(order.version, order.choice)
            case "settle":
                self.settle(order.version)
            case "decide":
                self.decide(MANAGER, order.choice, order.version)


@contextmanager
def _dying(place: Any, name: str) -> Iterator[None]:
    """Let whoever calls this function die there."""

    async def die(*_: object, **__: object) -> None:
        raise OSError("the process died")

    with patch.object(place, name, die):
        yield
