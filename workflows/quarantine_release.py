"""The quarantine of one release: fetch its files, then wait for time or a person, and look again.

It decides nothing. `settle_release` moves what is due, by PostgreSQL's clock, and says when to look again; a signal
`approve` or `reject` is handed to `decide_release`, which checks what the reviewer may do. If a timer fires early,
twice or late, or a signal is forged, what is served stays what the standings say.

Signals, with `{"reviewer": "<account>", "reason": "<why>"}`: `approve`, `reject`. Without arguments: `look_again`.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.release import Release, ReleaseActivities, ReleaseStatus, SignalledDecision
    from workflows.names import PROJECT, RELEASE_AT, STATE, VERSION
    from workflows.options import AT_ONCE, DATABASE, FETCH, FETCH_AGAIN_IN, FILES_AT_ONCE, TRY_AGAIN_IN


@dataclass
class QuarantineReleaseInput:
    """Which release, and what a former run of this workflow had not yet carried out."""

    project: str
    version: str
    decisions: list[SignalledDecision] = field(default_factory=list)
    searchable: bool = True
    """Whether Temporal knows our search attributes; it lets no workflow go on that sets one it does not know."""


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
        self._decisions = list(given.decisions)
        self._look_again = False
        self._answers: list[str] = []
        self._status: ReleaseStatus | None = None

    @workflow.run
    async def run(self, given: QuarantineReleaseInput) -> QuarantineReleaseResult:
        """Return once nothing of the release waits any more."""
        self._tag(PROJECT.value_set(given.project), VERSION.value_set(given.version))
        while True:
            self._look_again = False
            try:
                status, all_stored = await self._go_round()
            except ActivityError:
                await self._rest(TRY_AGAIN_IN)
                continue
            if not status.held_files and not self._decisions:
                return QuarantineReleaseResult(status.state, status.reasons)
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(replace(given, decisions=self._decisions))
            await self._wait(status, all_stored=all_stored)

    async def _go_round(self) -> tuple[ReleaseStatus, bool]:
        """Carry out what was decided, settle, and fetch what is missing; tells whether all is fetched."""
        await self._decide()
        status = await self._settle()
        if not status.unstored_files:
            return status, True
        all_stored = await self._store(status.unstored_files)
        return await self._settle(), all_stored

    @workflow.signal
    def approve(self, review: Any) -> None:
        """Release what is held of this release."""
        self._take("approve", review)

    @workflow.signal
    def reject(self, review: Any) -> None:
        """Block this release."""
        self._take("block", review)

    @workflow.signal
    def look_again(self) -> None:
        """Something about this release has changed."""
        self._look_again = True

    @workflow.query
    def status(self) -> ReleaseStatus | None:
        """How the release stood when it was last settled."""
        return self._status

    @workflow.query
    def answers(self) -> list[str]:
        """What became of each signalled decision."""
        return self._answers

    def _take(self, choice: str, review: Any) -> None:
        """Keep a decision for later; what is no review is answered, not obeyed."""
        fields = review if isinstance(review, dict) else {}
        reviewer, reason = fields.get("reviewer"), fields.get("reason")
        if not isinstance(reviewer, str) or not isinstance(reason, str):
            self._answers.append(f'{choice} refused: send {{"reviewer": "<account>", "reason": "<why>"}}')
            self._look_again = True
            return
        self._decisions.append(
            SignalledDecision(self._given.project, self._given.version, choice, reviewer[:100], reason[:2000])
        )

    async def _decide(self) -> None:
        while self._decisions:
            decision = self._decisions[0]
            answer: str = await workflow.execute_activity_method(
                ReleaseActivities.decide_release,
                decision,
                summary=f"{decision.choice} by {decision.reviewer}",
                **DATABASE,
            )
            self._answers.append(f"{decision.choice} by {decision.reviewer}: {answer}")
            del self._answers[:-20]
            self._decisions.pop(0)

    async def _settle(self) -> ReleaseStatus:
        status: ReleaseStatus = await workflow.execute_activity_method(
            ReleaseActivities.settle_release, Release(self._given.project, self._given.version), **DATABASE
        )
        self._status = status
        self._tag(STATE.value_set(status.state))
        if status.release_at is not None:
            self._tag(RELEASE_AT.value_set(status.release_at))
        workflow.set_current_details(self._describe(status))
        return status

    async def _store(self, file_ids: list[int]) -> bool:
        """Fetch files, a few at once; False where some could not be fetched, which then stay held."""
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
        """Wait for a signal or for the moment at which settling again may change something."""
        waits = [] if status.look_again_in is None else [timedelta(seconds=status.look_again_in)]
        if not all_stored:
            # Where the window is over and only the bytes are missing, settling again at once would change nothing.
            waits = [FETCH_AGAIN_IN, *(wait for wait in waits if wait > AT_ONCE)]
        await self._rest(min(waits, default=None))

    async def _rest(self, span: timedelta | None) -> None:
        """Wait for a signal, and no longer than `span`."""
        try:
            await workflow.wait_condition(lambda: bool(self._decisions) or self._look_again, timeout=span)
        except TimeoutError:
            return

    def _tag(self, *updates: SearchAttributeUpdate[Any]) -> None:
        if self._given.searchable:
            workflow.upsert_search_attributes(updates)

    def _describe(self, status: ReleaseStatus) -> str:
        until = f" until {status.release_at:%Y-%m-%d %H:%M} UTC" if status.release_at else ""
        lines = [
            f"**{self._given.project} {self._given.version}** is {status.state}{until}",
            f"{len(status.held_files)} files wait",
            *(f"- {reason}" for reason in status.reasons),
            *(f"- {answer}" for answer in self._answers),
        ]
        return "\n".join(lines)
