"""The quarantine of one release: download its files, run checks, settle, and wait for a date or a reviewer.

The workflow decides nothing. `settle_release` changes the states that are due by PostgreSQL's clock, and says when to
settle again; if a window has ended, `refresh_release` refreshes the upstream's page first. Activities carry out what a
reviewer signals (`workflows.decider`); they verify the reviewer's code and permission. A timer that fires early, twice
or late, or a forged message, does not change what is served: that depends on the states in PostgreSQL.

Signals, with `{"reviewer": "<account>", "reason": "<why>", "code": "<code>"}`: `approve`, `reject`, and `extend`, which
also takes `"days"`. Without arguments: `look_again`, which settles now. Update `decide`: the same with `"choice"`; it
returns the answer. Queries: `status`, `answers`, `findings`, `files`.

A run continues as a new one long before its history is too long, and hands over only ids and a few words. The worker
replaces runs of an earlier workflow type (`koschey.worker.superseded`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeUpdate

with workflow.unsafe.imports_passed_through():
    from activities.decisions import SignalledDecision
    from activities.description import FileSummary, FindingSummary, ReleaseDescription
    from activities.pages import Release
    from activities.release import ReleaseActivities, ReleaseStatus, SettledRelease
    from koschey.policy.reasons import parse_reason
    from workflows.decider import Decider
    from workflows.decision_queue import DecisionQueue
    from workflows.details import render_details
    from workflows.names import PROJECT, RELEASE_AT, STATE, VERSION
    from workflows.options import (
        AT_ONCE,
        DATABASE,
        FETCH_AGAIN_IN,
        READ,
        ROUND_AGAIN_IN,
        STEP_FAILURES,
        TRY_AGAIN_IN,
    )
    from workflows.rounds import Round, is_full


@dataclass
class QuarantineInput:
    """The release, and the decisions that the previous run had not carried out."""

    project: str
    version: str
    decisions: list[SignalledDecision] = field(default_factory=list)
    searchable: bool = True
    """Whether Temporal knows Koschey's search attributes; a workflow that sets an unknown one cannot continue."""
    answers: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """Answers to signals that decided nothing, each with the number of such signals."""
    stored_to: int = 0
    """The id up to which the interrupted round had downloaded files."""
    is_whole: bool = True
    """Whether nothing had failed in that round so far."""


@dataclass
class QuarantineResult:
    """The state of the release when its quarantine ended, and the reasons."""

    state: str
    reasons: list[str]


@workflow.defn(name="HeldRelease")
class Quarantine:
    """Drives one release until none of its files is held."""

    @workflow.init
    def __init__(self, given: QuarantineInput) -> None:
        self._given = given
        self._queue = DecisionQueue(given.decisions, given.answers, given.refused)
        self._decider = Decider(given.project, given.version, self._queue)
        self._look_again = False
        self._status: ReleaseStatus | None = None
        self._described = ReleaseDescription()
        self._tags: tuple[str, datetime | None] | None = None

    @workflow.run
    async def run(self, given: QuarantineInput) -> QuarantineResult:
        """Return once no file of the release is held."""
        if workflow.info().typed_search_attributes.get(PROJECT) is None:  # it was started by hand
            self._tag(PROJECT.value_set(given.project), VERSION.value_set(given.version))
        deciding = asyncio.create_task(self._decider.run(self._show))
        turn = Round(given.project, given.version, given.stored_to, is_whole=given.is_whole)
        while True:
            self._look_again, began_at = False, workflow.now()
            try:
                await self._go(turn)
                if is_full():
                    await self._go_on(turn)
                status = await self._settle()
            except STEP_FAILURES:
                await self._wait_for_signal(TRY_AGAIN_IN, deciding)
                continue
            if not status.held_files:
                await workflow.wait_condition(lambda: self._is_over() or self._is_full())
                if not self._is_over():
                    await self._go_on(turn)
                if not self._look_again:
                    deciding.cancel()
                    return QuarantineResult(status.state, status.reasons)
            else:
                await self._wait_for_signal(self._wait(status, turn), deciding)
                if workflow.now() - began_at < ROUND_AGAIN_IN:
                    await workflow.sleep(ROUND_AGAIN_IN)
            turn = Round(given.project, given.version, 0, is_whole=True)
            if self._decider.is_flooded:
                await self._go_on(turn)

    @workflow.signal
    def approve(self, *review: Any) -> None:
        """Release the held files of this release."""
        self._decider.receive("approve", review)

    @workflow.signal
    def reject(self, *review: Any) -> None:
        """Block this release."""
        self._decider.receive("reject", review)

    @workflow.signal
    def extend(self, *review: Any) -> None:
        """Hold this release for at least so many days from now."""
        self._decider.receive("extend", review)

    @workflow.signal
    def look_again(self, *_: Any) -> None:
        """Settle now, because something about this release has changed."""
        self._look_again = True
        self._decider.signals += 1

    @workflow.signal(dynamic=True)
    def unknown(self, _name: str, _given: Sequence[RawValue]) -> None:
        """Drop a signal with another name. Without this handler the SDK would keep all of them in memory."""
        self._decider.signals += 1

    @workflow.update
    async def decide(self, *review: Any) -> str:
        """Carry out a decision now and return its answer. Choices: `approve`, `reject`, `extend`."""
        answer = await self._decider.decide_now(self._decider.read(review))
        self._show()
        return answer

    @decide.validator
    def validate_decide(self, *review: Any) -> None:
        """Refuse an update that is no decision, before it enters the history."""
        parse_reason(self._decider.read(review).reason)

    @workflow.query
    def status(self) -> ReleaseStatus | None:
        """Return the state of the release when it was last settled."""
        return self._status

    @workflow.query
    def answers(self) -> list[str]:
        """Return the answers to signalled decisions, and to signals that decided nothing."""
        return self._queue.all_answers()

    @workflow.query
    def findings(self) -> list[FindingSummary]:
        """Return what checks found in held files, the worst first."""
        return self._described.findings

    @workflow.query
    def files(self) -> list[FileSummary]:
        """Return the files of the release, held ones first."""
        return self._described.files

    async def _go(self, turn: Round) -> None:
        """Run a round. A flooded run does not wait for the end of a long round: the next run continues it."""
        going = asyncio.create_task(turn.go())
        await workflow.wait_condition(lambda: going.done() or (self._decider.is_flooded and is_full()))
        if going.done():
            going.result()

    async def _go_on(self, turn: Round) -> NoReturn:
        """Continue as a new run, once nothing is in progress and the pending decisions fit into its input."""
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
        """Settle, and show the result. Only a release that needs the upstream's page costs an activity of its own."""
        release = Release(self._given.project, self._given.version)
        settled: SettledRelease = await workflow.execute_local_activity_method(
            ReleaseActivities.settle_release, release, **READ
        )
        if settled.needs_refresh:
            settled = await workflow.execute_activity_method(ReleaseActivities.refresh_release, release, **DATABASE)
        status, self._described = settled.status, settled.described
        self._status = status
        release_at = status.release_at if status.held_files else None
        shown = (status.state, release_at)
        if shown != self._tags:
            # An unset attribute would stay as null, which clients cannot read. The state says that nothing is held.
            at = [] if release_at is None else [RELEASE_AT.value_set(release_at)]
            self._tag(STATE.value_set(status.state), *at)
            self._tags = shown
        self._show()
        return status

    def _show(self) -> None:
        """Show the status in Temporal's UI; this adds no event."""
        if self._status is not None:
            name, answers = f"{self._given.project} {self._given.version}", self._queue.all_answers()
            page = render_details(name, workflow.info().workflow_id, self._status, self._described, answers)
            workflow.set_current_details(page)

    def _wait(self, status: ReleaseStatus, turn: Round) -> timedelta | None:
        """Return the time after which settling again may change something; None if only a signal can."""
        waits = [] if status.look_again_in is None else [timedelta(seconds=status.look_again_in)]
        if not turn.is_whole or any(check.faults for check in self._described.checks):
            # If the window is over and only bytes or checks are missing, settling at once would change nothing.
            waits = [FETCH_AGAIN_IN, *(wait for wait in waits if wait > AT_ONCE)]
        return min(waits, default=None)

    async def _wait_for_signal(self, span: timedelta | None, deciding: asyncio.Task[None]) -> None:
        """Wait for a signal, at most for `span`."""
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

    def _tag(self, *updates: SearchAttributeUpdate[Any]) -> None:
        if self._given.searchable:
            workflow.upsert_search_attributes(updates)
