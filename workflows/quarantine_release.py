"""The quarantine of one release: fetch its files, have them checked, then wait for time or a person, and look again.

It decides nothing. `settle_release` moves what is due, by PostgreSQL's clock, and says when to look again; what a
person asks for is handed to activities (`workflows.decision_loop`), which check the reviewer's code and permission. If
a timer fires early, twice or late, or a message is forged, what is served stays what the standings say.

Signals, with `{"reviewer": "<account>", "reason": "<why>", "code": "<code>"}`: `approve`, `reject`, and `extend`, which
also takes `"days"`. Without arguments: `look_again`. Update `decide`: the same with `"choice"`, and the answer comes
back. Queries: `status`, `answers`, `findings`, `files`.

A run goes on as a new one long before its history is too long, and hands on only ids and a few words. What 0.1.0
began is carried on by `workflows.earlier_rounds`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeUpdate
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.decisions import SignalledDecision
    from activities.description import DescriptionActivities, FileSummary, FindingSummary, ReleaseDescription
    from activities.release import Release, ReleaseActivities, ReleaseStatus
    from workflows.decision_loop import SIFTED, Decider
    from workflows.decisions import DecisionQueue
    from workflows.details import render_details
    from workflows.earlier_rounds import EarlierRounds
    from workflows.names import PROJECT, RELEASE_AT, STATE, VERSION
    from workflows.options import AT_ONCE, DATABASE, FETCH_AGAIN_IN, READ, ROUND_AGAIN_IN, TRY_AGAIN_IN
    from workflows.rounds import Round, is_full

CHECKED_ROUNDS = "2026-11-checked-rounds"
"""Since when a round fetches, has checks look, and then settles; a run of 0.1.0 settles, fetches, and settles."""


@dataclass
class QuarantineReleaseInput:
    """Which release, and what a former run of this workflow had not yet carried out."""

    project: str
    version: str
    decisions: list[SignalledDecision] = field(default_factory=list)
    searchable: bool = True
    """Whether Temporal knows our search attributes; it lets no workflow go on that sets one it does not know."""
    answers: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """What signals were answered that decided nothing, and how many of them."""
    stored_to: int = 0
    """The id up to which the round that was under way had fetched files."""
    is_whole: bool = True
    """Whether nothing had failed in that round."""


@dataclass
class QuarantineReleaseResult:
    """How it ended."""

    state: str
    reasons: list[str]


@workflow.defn(name="QuarantineRelease")
class QuarantineRelease:
    """See the module."""

    @workflow.init
    def __init__(self, given: QuarantineReleaseInput) -> None:
        self._given = given
        self._queue = DecisionQueue(given.decisions, given.answers, given.refused)
        self._decider = Decider(given.project, given.version, self._queue)
        self._decider.sifts = workflow.patched(SIFTED)
        self._look_again = False
        self._refused = False
        """Somebody sent what is no review. It woke a run of 0.1.0."""
        self._status: ReleaseStatus | None = None
        self._described = ReleaseDescription()
        self._tags: tuple[str, datetime | None] | None = None

    @workflow.run
    async def run(self, given: QuarantineReleaseInput) -> QuarantineReleaseResult:
        """Return once nothing of the release waits any more."""
        self._tag(PROJECT.value_set(given.project), VERSION.value_set(given.version))
        if workflow.patched(CHECKED_ROUNDS):
            return await self._go_rounds()
        earlier = EarlierRounds(self._queue, self._settle_as_earlier, self._is_woken, self._forget_wakes)
        if (status := await earlier.run()) is None:
            await self._go_on(Round(given.project, given.version, 0, is_whole=True))
        return QuarantineReleaseResult(status.state, status.reasons)

    @workflow.signal
    def approve(self, *review: Any) -> None:
        """Release what is held of this release."""
        self._refused |= not self._decider.take("approve", review)

    @workflow.signal
    def reject(self, *review: Any) -> None:
        """Block this release."""
        self._refused |= not self._decider.take("reject", review)

    @workflow.signal
    def extend(self, *review: Any) -> None:
        """Hold this release for some days from now at least."""
        self._refused |= not self._decider.take("extend", review)

    @workflow.signal
    def look_again(self, *_: Any) -> None:
        """Something about this release has changed."""
        self._look_again = True
        self._decider.signals += 1

    @workflow.signal(dynamic=True)
    def unknown(self, _name: str, _given: Sequence[RawValue]) -> None:
        """Drop a signal of another name; without this they would all be kept in memory."""
        self._decider.signals += 1

    @workflow.update
    async def decide(self, *review: Any) -> str:
        """Decide now, and return what came of it. Choices: `approve`, `reject`, `extend`."""
        answer = await self._decider.decide_now(self._decider.read(review))
        self._show()
        return answer

    @decide.validator
    def validate_decide(self, *review: Any) -> None:
        """Refuse what is no decision before it is written down anywhere."""
        decision = self._decider.read(review)
        if not decision.reason.strip() or decision.reason != review[0]["reason"]:
            raise ValueError("give a reason of 1 to 2000 characters; it is kept with the decision")

    @workflow.query
    def status(self) -> ReleaseStatus | None:
        """How the release stood when it was last settled."""
        return self._status

    @workflow.query
    def answers(self) -> list[str]:
        """What became of each signalled decision, and of signals that decided nothing."""
        return self._queue.told()

    @workflow.query
    def findings(self) -> list[FindingSummary]:
        """What checks found in held files, the worst first."""
        return self._described.findings

    @workflow.query
    def files(self) -> list[FileSummary]:
        """The files of the release, those that wait first."""
        return self._described.files

    async def _go_rounds(self) -> QuarantineReleaseResult:
        deciding = asyncio.create_task(self._decider.run(self._show))
        turn = Round(self._given.project, self._given.version, self._given.stored_to, is_whole=self._given.is_whole)
        number = 0
        while True:
            self._look_again, number, began_at = False, number + 1, workflow.now()
            # A run of an earlier version goes on as a new one, which sifts, as soon as it wakes.
            if not self._decider.sifts and workflow.patched(f"{SIFTED}-{number}"):
                await self._go_on(turn)
            try:
                await self._go(turn)
                if is_full():
                    await self._go_on(turn)
                status = await self._settle()
                await self._describe(status)
            except ActivityError:
                await self._rest(TRY_AGAIN_IN, deciding)
                continue
            if not status.held_files:
                await workflow.wait_condition(lambda: self._is_over() or (self._decider.sifts and self._is_full()))
                if not self._is_over():
                    await self._go_on(turn)
                if not self._look_again:
                    deciding.cancel()
                    return QuarantineReleaseResult(status.state, status.reasons)
            else:
                await self._rest(self._wait(status, turn), deciding)
                if self._decider.sifts and workflow.now() - began_at < ROUND_AGAIN_IN:
                    await workflow.sleep(ROUND_AGAIN_IN)
            turn = Round(self._given.project, self._given.version, 0, is_whole=True)
            if self._decider.is_flooded:
                await self._go_on(turn)

    async def _go(self, turn: Round) -> None:
        """Go a round. One that takes long keeps no flooded run open: the next run goes on with it."""
        if not self._decider.sifts:
            await turn.go()
            return
        going = asyncio.create_task(turn.go())
        await workflow.wait_condition(lambda: going.done() or (self._decider.is_flooded and is_full()))
        if going.done():
            going.result()

    async def _go_on(self, turn: Round) -> NoReturn:
        """Go on as a new run, once what is under way is done and what is not fits into its input."""
        self._decider.closing = True
        await workflow.wait_condition(lambda: self._decider.may_close and workflow.all_handlers_finished())
        workflow.continue_as_new(
            replace(
                self._given,
                decisions=self._decider.hand_on(),
                answers=self._queue.answers,
                refused=self._queue.refused,
                stored_to=turn.stored_to,
                is_whole=turn.is_whole,
            )
        )

    async def _settle(self) -> ReleaseStatus:
        status: ReleaseStatus = await workflow.execute_activity_method(
            ReleaseActivities.settle_release, Release(self._given.project, self._given.version), **DATABASE
        )
        self._status = status
        return status

    async def _settle_as_earlier(self) -> ReleaseStatus:
        """Settle with the commands of 0.1.0, which set every attribute each time."""
        status = await self._settle()
        self._tag(STATE.value_set(status.state))
        if status.release_at is not None:
            self._tag(RELEASE_AT.value_set(status.release_at))
        self._show()
        return status

    async def _describe(self, status: ReleaseStatus) -> None:
        """Fetch what a reviewer wants to see, and show it."""
        self._described = await workflow.execute_local_activity_method(
            DescriptionActivities.describe_release, Release(self._given.project, self._given.version), **READ
        )
        release_at = status.release_at if status.held_files else None
        shown = (status.state, release_at)
        if shown != self._tags:
            # One that was unset would stay behind as null, which clients cannot read; the state says that it is over.
            at = [] if release_at is None else [RELEASE_AT.value_set(release_at)]
            self._tag(STATE.value_set(status.state), *at)
            self._tags = shown
        self._show()

    def _show(self) -> None:
        """Put what is known where Temporal's UI shows it; that is no event."""
        if self._status is not None:
            name, answers = f"{self._given.project} {self._given.version}", self._queue.told()
            page = render_details(name, workflow.info().workflow_id, self._status, self._described, answers)
            workflow.set_current_details(page)

    def _wait(self, status: ReleaseStatus, turn: Round) -> timedelta | None:
        """Return when settling again may change something; None where only a signal can bring news."""
        waits = [] if status.look_again_in is None else [timedelta(seconds=status.look_again_in)]
        if not turn.is_whole or any(check.faults for check in self._described.checks):
            # Where the window is over and only bytes or checks are missing, settling at once would change nothing.
            waits = [FETCH_AGAIN_IN, *(wait for wait in waits if wait > AT_ONCE)]
        return min(waits, default=None)

    async def _rest(self, span: timedelta | None, deciding: asyncio.Task[None]) -> None:
        """Wait until somebody calls, and no longer than `span`."""
        try:
            await workflow.wait_condition(lambda: self._look_again or self._is_full() or deciding.done(), timeout=span)
        except TimeoutError:
            return
        if deciding.done():
            deciding.result()

    def _is_full(self) -> bool:
        return is_full() or self._decider.is_flooded

    def _is_over(self) -> bool:
        return self._queue.is_idle and workflow.all_handlers_finished()

    def _is_woken(self) -> bool:
        return self._look_again or self._refused

    def _forget_wakes(self) -> None:
        self._look_again = self._refused = False

    def _tag(self, *updates: SearchAttributeUpdate[Any]) -> None:
        if self._given.searchable:
            workflow.upsert_search_attributes(updates)
