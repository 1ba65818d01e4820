"""Carries out the decisions that reviewers signal to a quarantine; it sifts thousands of them at once.

The handler of a signal runs a few lines and no activity. It counts signals that are no review, and joins equal reviews.
One activity sifts all signals that have arrived meanwhile. So a flood delays no reviewer.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.decisions import DecisionActivities, Sifted, SignalBatch, SignalledDecision
    from workflows.decision_queue import CHOICES, DecisionQueue, NotADecision, read_decision
    from workflows.options import DATABASE, DECIDE, SIGNALS, TRY_AGAIN_IN


class Decider:
    """Receives the decisions about one release that arrive by signal or update, and has them carried out."""

    def __init__(self, project: str, version: str, queue: DecisionQueue) -> None:
        self._project = project
        self._version = version
        self.queue = queue
        self.signals = 0
        """Number of signals that this run has received."""
        self.closing = False
        """Whether the run is about to continue as a new one, and begins nothing that it cannot hand over."""

    @property
    def may_close(self) -> bool:
        """Whether the pending decisions can be handed to another run."""
        return self.closing and self.queue.fits

    @property
    def is_flooded(self) -> bool:
        """Whether so many signals arrived that the run is to continue as a new one.

        A worker that loses the run has to replay them all. By default Temporal fails a task during which 100 more
        arrive; with a short history the next task succeeds.
        """
        return self.signals >= SIGNALS

    def receive(self, choice: str, review: Sequence[Any]) -> None:
        """Keep the decision that a signal carries. If the signal is no review, answer and count it."""
        self.signals += 1
        try:
            self.queue.add(read_decision(self._project, self._version, choice, review))
        except NotADecision as error:
            self.queue.note_refused(str(error))

    def read(self, review: Sequence[Any]) -> SignalledDecision:
        """Parse the decision that an update carries. Raises `ValueError` that says what to send."""
        choice = review[0].get("choice") if len(review) == 1 and isinstance(review[0], dict) else None
        if not isinstance(choice, str) or choice not in CHOICES:
            choices = " | ".join(CHOICES)
            raise ValueError(
                f'send {{"choice": "<{choices}>", "reviewer": "<account>", "reason": "<why>", "code": "<code>"}}'
            )
        return read_decision(self._project, self._version, choice, review)

    async def decide_now(self, decision: SignalledDecision) -> str:
        """Carry out the decision of an update, in its turn among the signals, and return its answer."""
        signalled = self.queue.add(decision)
        signalled.awaited = True
        await workflow.wait_condition(lambda: signalled.answer is not None)
        return signalled.answer or ""

    async def run(self, show: Callable[[], None]) -> None:
        """Carry out decisions as they arrive, until cancelled; call `show` when there are answers."""
        while True:
            await workflow.wait_condition(lambda: bool(self.queue.pending) and not self.may_close)
            pause = 0.0
            try:
                pause = await self._sift()
                while self.queue.sifted:
                    await self._carry_out()
            except ActivityError:
                self.queue.requeue()
                await workflow.sleep(TRY_AGAIN_IN)
            else:
                show()
                await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Wait so that signals gather, unless the run is about to end."""
        if seconds and not self.closing:
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self.closing, timeout=seconds)

    async def _sift(self) -> float:
        """Keep those pending decisions that may decide; return the seconds to wait before the next sifting."""
        batch = SignalBatch(self._project, self._version, self.queue.begin_sifting())
        sifted: Sifted = await workflow.execute_activity_method(DecisionActivities.sift_signals, batch, **DATABASE)
        self.queue.sift(sifted)
        return sifted.pause

    async def _carry_out(self) -> None:
        """Carry out the next portion of the sifted decisions."""
        portion = self.queue.begin_portion()
        answers: list[str] = await workflow.execute_activity_method(
            DecisionActivities.decide_releases, portion, **DECIDE
        )
        self.queue.finish(answers)

    def hand_on(self) -> list[SignalledDecision]:
        """Return the pending decisions for another run, each with the run that received it."""
        run = workflow.info().run_id
        return [
            replace(each.decision, received_in=each.decision.received_in or run)
            if each.decision.code
            else each.decision
            for each in self.queue.pending
        ]
