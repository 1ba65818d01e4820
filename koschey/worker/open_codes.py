"""Signals with an open code, read from histories: decisions do not wait for a workflow that Temporal does not run.

While signals to one workflow saturate Temporal, it may begin none of its tasks until they stop, and the signal of a
reviewer waits with them. But it stands in the history, and a history can be read. So while a code is open the worker
looks at the histories of its releases, and decides what the workflow did not within a look. The workflow finds the code
used later, and answers what came of it.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.decisions import SignalledDecision, parse_signalled
from koschey.auth.codes import digest_code
from koschey.db.pool import Pool
from koschey.db.reviewer_codes import OpenRelease, select_open_releases
from koschey.errors import UsageError
from koschey.model import quarantine_id
from koschey.policy.advisories import Feed
from koschey.quarantine.reviewer_codes import LIFETIME, redeem_code
from workflows.decisions import CHOICES, NotADecision, read_decision

log = structlog.get_logger()

EVERY = 2.0
"""Seconds between looks, and so at least for how long a signal was left to its workflow."""
RELEASES = 20
"""Releases that one look is at: those whose codes are the newest."""
PAGE = 1_000
PAGES = 5
"""The newest events of a history that one look reads: more than Temporal writes in `EVERY`."""
PATIENCE = timedelta(seconds=10)
"""For one call."""


class OpenCodes:
    """Looks again and again while codes are open."""

    def __init__(self, pool: Pool, client: Client, feed: Feed | None) -> None:
        self._pool = pool
        self._client = client
        self._feed = feed
        self._found: list[SignalledDecision] = []

    async def run(self) -> None:
        """Look, and look again. Has no end."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> list[str]:
        """Decide what the last look found and no workflow has decided since; return what came of it."""
        answers = [await self._decide(decision) for decision in self._found]
        self._found = []
        found = [
            decision
            for release in await select_open_releases(self._pool, LIFETIME, RELEASES)
            for decision in await self._signalled(release)
        ]
        if found:
            # A code that is still open after its signal was read was open when Temporal received the signal.
            open_now = await select_open_releases(self._pool, LIFETIME, RELEASES)
            digests = {digest for release in open_now for digest in release.digests}
            self._found = [decision for decision in found if digest_code(decision.code) in digests]
        return answers

    async def _signalled(self, release: OpenRelease) -> list[SignalledDecision]:
        """Return the decisions that were signalled with an open code of a release, each once, in their order."""
        found: list[SignalledDecision] = []
        for event in reversed(await self._newest_events(quarantine_id(release.project, release.version))):
            attributes = event.workflow_execution_signaled_event_attributes
            if attributes.signal_name not in CHOICES:
                continue
            given = await self._decode(attributes.input.payloads)
            try:
                decision = read_decision(release.project, release.version, attributes.signal_name, given)
            except NotADecision:
                continue
            if digest_code(decision.code) in release.digests and decision not in found:
                found.append(decision)
        return found

    async def _newest_events(self, workflow: str) -> list[HistoryEvent]:
        """Return the newest events of a workflow's present run, the newest first; none where there is no workflow."""
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=workflow),
            maximum_page_size=PAGE,
        )
        events: list[HistoryEvent] = []
        try:
            for _ in range(PAGES):
                page = await self._client.workflow_service.get_workflow_execution_history_reverse(
                    request, timeout=PATIENCE
                )
                events += page.history.events
                request.next_page_token = page.next_page_token
                if not page.next_page_token:
                    break
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return events

    async def _decode(self, payloads: Sequence[Payload]) -> list[object]:
        try:
            return await self._client.data_converter.decode(payloads) if payloads else []
        except Exception:  # noqa: BLE001 - anybody can send anything
            return []

    async def _decide(self, decision: SignalledDecision) -> str:
        """Decide as the workflow would. Its signal was received in time."""
        try:
            wanted = parse_signalled(decision)
        except UsageError as error:
            return f"refused: {error}"
        async with self._pool.acquire() as connection:
            answer = await redeem_code(connection, decision.code, decision.reviewer, wanted, self._feed, in_time=True)
        log.info("a signal was read from its history", project=wanted.project, version=wanted.version, answer=answer)
        return answer
