"""The rounds of a quarantine as 0.1.0 made them, for runs that it began: what is in their history is replayed exactly.

At the first turn that is not in the history yet, a new round or a wait, the run goes on as a new one, which makes
today's rounds. So every quarantine is checked as soon as it wakes after an upgrade, and none is lost by it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.decisions import DecisionActivities
    from activities.release import ReleaseActivities, ReleaseStatus
    from workflows.decisions import DecisionQueue
    from workflows.options import AT_ONCE, DATABASE, FETCH, FETCH_AGAIN_IN, FILES_AT_ONCE, TRY_AGAIN_IN


class EarlierRounds:
    """What 0.1.0 did. `settle` settles and shows the outcome; `is_woken` tells of signals, and `rest` forgets them."""

    def __init__(
        self,
        queue: DecisionQueue,
        settle: Callable[[], Awaitable[ReleaseStatus]],
        is_woken: Callable[[], bool],
        forget_wakes: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._settle = settle
        self._is_woken = is_woken
        self._forget_wakes = forget_wakes

    async def run(self) -> ReleaseStatus | None:
        """Return how the release stands once nothing waits, or None where a new run is to go on."""
        turn = 0
        while True:
            turn += 1
            if workflow.patched(f"round-{turn}"):
                return None
            self._forget_wakes()
            try:
                status, all_stored = await self._go_round()
            except ActivityError:
                await self._rest(TRY_AGAIN_IN)
                continue
            if not status.held_files and not self._queue.pending:
                return status
            if workflow.info().is_continue_as_new_suggested() or workflow.patched(f"wait-{turn}"):
                return None
            await self._wait(status, all_stored=all_stored)

    async def _go_round(self) -> tuple[ReleaseStatus, bool]:
        await self._decide()
        status = await self._settle()
        if not status.unstored_files:
            return status, True
        all_stored = await self._store(status.unstored_files)
        return await self._settle(), all_stored

    async def _decide(self) -> None:
        while self._queue.pending:
            decision = self._queue.pending[0].decision
            answer: str = await workflow.execute_activity_method(
                DecisionActivities.decide_release, decision, **DATABASE
            )
            self._queue.note(f"{decision.choice} by {decision.reviewer}: {answer}")
            self._queue.pop()

    async def _store(self, file_ids: list[int]) -> bool:
        turns = asyncio.Semaphore(FILES_AT_ONCE)

        async def store(file_id: int) -> bool:
            async with turns:
                try:
                    await workflow.execute_activity_method(ReleaseActivities.store_held_file, file_id, **FETCH)
                except ActivityError:
                    return False
            return True

        return all(await asyncio.gather(*(store(file_id) for file_id in file_ids)))

    async def _wait(self, status: ReleaseStatus, *, all_stored: bool) -> None:
        waits = [] if status.look_again_in is None else [timedelta(seconds=status.look_again_in)]
        if not all_stored:
            waits = [FETCH_AGAIN_IN, *(wait for wait in waits if wait > AT_ONCE)]
        await self._rest(min(waits, default=None))

    async def _rest(self, span: timedelta | None) -> None:
        try:
            await workflow.wait_condition(lambda: bool(self._queue.pending) or self._is_woken(), timeout=span)
        except TimeoutError:
            return
