"""Attaches provenance to the files of one release: the record of PEP 710 and the verified object of PEP 740.

It decides nothing, and no file depends on it: `/integrity/` downloads a missing object itself. An operator can start it
by hand with `{"project": "<name>", "version": "<version>", "again": true}` to download and verify everything again.

Signal `look_again`, with true for the same purpose: files were stored, or the upstream lists other objects.
"""

import asyncio
from dataclasses import dataclass, field

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.pages import Release
    from activities.provenance import FileToAttest, ProvenanceActivities
    from workflows.options import DATABASE, FETCH_AGAIN_IN, FILES_AT_ONCE, PROVENANCE_ROUNDS


@dataclass
class AttachProvenanceInput:
    """The release, and whether to download and verify again what is stored already."""

    project: str
    version: str
    again: bool = False


@dataclass
class AttachProvenanceResult:
    """The result: the number of files with each verdict, and of files for which the upstream did not answer."""

    verdicts: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0


@workflow.defn(name="AttachProvenance")
class AttachProvenance:
    """Attaches provenance to the stored files of one release."""

    @workflow.init
    def __init__(self, given: AttachProvenanceInput) -> None:
        self._again = given.again
        self._look_again = False

    @workflow.run
    async def run(self, given: AttachProvenanceInput) -> AttachProvenanceResult:
        """Return once every stored file has a verdict, or the upstream has not answered for a week."""
        rounds = 0
        while True:
            rounds += 1
            again, self._again, self._look_again = self._again, False, False
            result = await self._go_round(Release(given.project, given.version), again=again)
            if self._look_again:
                rounds = 0
            elif not result.unanswered or rounds >= PROVENANCE_ROUNDS:
                return result
            else:
                self._again = self._again or again
                await self._wait_for_signal()

    @workflow.signal
    def look_again(self, again: bool = False) -> None:
        """Do another round: something about this release has changed."""
        self._look_again = True
        self._again = self._again or again

    async def _go_round(self, release: Release, *, again: bool) -> AttachProvenanceResult:
        file_ids: list[int] = await workflow.execute_activity_method(
            ProvenanceActivities.list_stored_files, release, **DATABASE
        )
        turns = asyncio.Semaphore(FILES_AT_ONCE)

        async def attach(file_id: int) -> str | None:
            async with turns:
                try:
                    verdict: str = await workflow.execute_activity_method(
                        ProvenanceActivities.attach_provenance, FileToAttest(file_id, again), **DATABASE
                    )
                except ActivityError:
                    return None
            return verdict

        found = await asyncio.gather(*(attach(file_id) for file_id in file_ids))
        verdicts = [verdict for verdict in found if verdict is not None]
        return AttachProvenanceResult(
            {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}, len(found) - len(verdicts)
        )

    async def _wait_for_signal(self) -> None:
        """Wait for a signal, at most `FETCH_AGAIN_IN`, so that the upstream is not asked too often."""
        try:
            await workflow.wait_condition(lambda: self._look_again, timeout=FETCH_AGAIN_IN)
        except TimeoutError:
            return
