"""Deciding what was signalled to a quarantine: signals are sifted by the thousand, and what may decide is carried out.

A signal costs its handler a few lines and no activity of its own. What is no review is counted; the same review again
is the same one; the rest is sifted by one activity for all that came meanwhile. So a flood keeps no reviewer waiting.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.decisions import DecisionActivities, Sifted, SignalBatch, SignalledDecision
    from workflows.decisions import CHOICES, DecisionQueue, NotADecision, read_decision
    from workflows.options import DATABASE, DECIDE, SIGNALS, TRY_AGAIN_IN

SIFTED = "2026-11-sifted-signals"
"""Since when signals are sifted before they are carried out; a run that began before carries out each."""


class Decider:
    """All decisions about one release that come by signal or update."""

    def __init__(self, project: str, version: str, queue: DecisionQueue) -> None:
        self._project = project
        self._version = version
        self.queue = queue
        self.sifts = False
        """Whether this run sifts; set once, by a patch."""
        self.signals = 0
        """How many signals this run has received."""
        self.closing = False
        """Whether the run is about to go on as a new one, and begins nothing that it cannot hand on."""

    @property
    def may_close(self) -> bool:
        """Whether all that is not carried out can be handed to another run."""
        return self.closing and self.queue.fits

    @property
    def is_flooded(self) -> bool:
        """Whether so many signals came that the run is to go on as a new one.

        A worker that loses the run has to replay them all, and by default Temporal fails a task during which 100 more
        come: with a short history the next one succeeds.
        """
        return self.sifts and self.signals >= SIGNALS

    def take(self, choice: str, review: Sequence[Any]) -> bool:
        """Keep what a signal asks for. Return False where it is no review: it is answered, not obeyed."""
        self.signals += 1
        try:
            self.queue.add(read_decision(self._project, self._version, choice, review))
        except NotADecision as error:
            if self.sifts:
                self.queue.note_refused(str(error))
            else:
                self.queue.note(str(error))
            return False
        return True

    def read(self, review: Sequence[Any]) -> SignalledDecision:
        """Read what an update asks for. Raises `ValueError` that says what to send."""
        choice = review[0].get("choice") if len(review) == 1 and isinstance(review[0], dict) else None
        if not isinstance(choice, str) or choice not in CHOICES:
            choices = " | ".join(CHOICES)
            raise ValueError(
                f'send {{"choice": "<{choices}>", "reviewer": "<account>", "reason": "<why>", "code": "<code>"}}'
            )
        return read_decision(self._project, self._version, choice, review)

    async def decide_now(self, decision: SignalledDecision) -> str:
        """Carry out what an update asks for, in its turn among the signals, and return what came of it."""
        if not self.sifts:
            answer: str = await workflow.execute_activity_method(
                DecisionActivities.decide_release,
                decision,
                summary=f"{decision.choice} by {decision.reviewer}",
                **DATABASE,
            )
            self.queue.note(f"{decision.choice} by {decision.reviewer}: {answer}")
            return answer
        signalled = self.queue.add(decision)
        signalled.awaited = True
        await workflow.wait_condition(lambda: signalled.answer is not None)
        return signalled.answer or ""

    async def run(self, show: Callable[[], None]) -> None:
        """Decide as signals come, until cancelled; `show` is called when there are answers."""
        while True:
            await workflow.wait_condition(lambda: bool(self.queue.pending) and not self.may_close)
            pause = 0.0
            try:
                if self.sifts:
                    pause = await self._sift()
                    while self.queue.sifted:
                        await self._carry_out(self.queue.sifted)
                else:
                    await self._carry_out()
            except ActivityError:
                self.queue.give_back()
                await workflow.sleep(TRY_AGAIN_IN)
            else:
                show()
                await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Let signals gather, unless the run is to end."""
        if seconds and not self.closing:
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self.closing, timeout=seconds)

    async def _sift(self) -> float:
        """Keep of what is pending what may decide; return the seconds to wait before the next signals are sifted."""
        batch = SignalBatch(self._project, self._version, self.queue.begin_sifting())
        sifted: Sifted = await workflow.execute_activity_method(DecisionActivities.sift_signals, batch, **DATABASE)
        self.queue.sift(sifted)
        return sifted.pause

    async def _carry_out(self, most: int | None = None) -> None:
        """Carry out the next portion."""
        portion = self.queue.take(most)
        answers: list[str] = await workflow.execute_activity_method(
            DecisionActivities.decide_releases, portion, **DECIDE
        )
        self.queue.finish(answers)

    def hand_on(self) -> list[SignalledDecision]:
        """Return what another run is to carry out, each with the run that received it."""
        run = workflow.info().run_id
        return [
            replace(each.decision, received_in=each.decision.received_in or run)
            if each.decision.code
            else each.decision
            for each in self.queue.pending
        ]
