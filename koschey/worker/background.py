"""Background tasks of a worker: they keep the permanent workflows running, and have unsent alerts sent again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from koschey.db.pool import Pool
from koschey.quarantine.sweep import requeue_unsent_alerts
from koschey.settings import Settings
from workflows.follow_advisories import FollowAdvisories, FollowAdvisoriesInput
from workflows.follow_upstream import FollowUpstream, FollowUpstreamInput
from workflows.housekeeping import Housekeeping, HousekeepingInput
from workflows.names import ADVISORIES_ID, FOLLOW_ID, HOUSEKEEPING_ID, TASK_QUEUE

EVERY = 60.0
"""Seconds between two checks that all of them run."""
RESEND_EVERY = 600.0
"""Seconds between two searches for alerts that the webhook has not accepted; a new alert is sent at once."""
RPC_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class PermanentWorkflow:
    """A workflow that always runs, once for all workers."""

    workflow: Any
    given: object
    id: str
    summary: str


def permanent_workflows(settings: Settings) -> list[PermanentWorkflow]:
    """Return the permanent workflows that the settings require."""
    wanted = [
        PermanentWorkflow(
            Housekeeping.run, HousekeepingInput(), HOUSEKEEPING_ID, "removes expired rules, starts missing workflows"
        )
    ]
    if settings.follow_upstream:
        wanted.append(
            PermanentWorkflow(FollowUpstream.run, FollowUpstreamInput(), FOLLOW_ID, "refreshes pages of the upstream")
        )
    if settings.advisories:
        given = FollowAdvisoriesInput()
        wanted.append(PermanentWorkflow(FollowAdvisories.run, given, ADVISORIES_ID, "follows the advisory feed"))
    return wanted


async def keep_running(client: Client, wanted: Sequence[PermanentWorkflow]) -> None:
    """Wake all, because a worker has started or Temporal is back; then start again any that has ended. Has no end."""
    for one in wanted:
        await _start(client, one, "look_again")
    while True:
        await asyncio.sleep(EVERY)
        for one in wanted:
            await _start(client, one, None)


async def keep_resending_alerts(pool: Pool) -> None:
    """Have alerts sent again that the webhook has not accepted. Only for a worker with a webhook. Has no end."""
    while True:
        await requeue_unsent_alerts(pool)
        await asyncio.sleep(RESEND_EVERY)


async def _start(client: Client, one: PermanentWorkflow, wake: str | None) -> None:
    """Start a workflow, or send the signal `wake`, if any, to the one that runs: the id is the lock."""
    await client.start_workflow(
        one.workflow,
        one.given,
        id=one.id,
        task_queue=TASK_QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal=wake,
        static_summary=one.summary,
        rpc_timeout=RPC_TIMEOUT,
    )
