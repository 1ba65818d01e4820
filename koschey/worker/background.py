"""What goes on for as long as a worker runs: workflows that always run, one of each for all; alerts told again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from koschey.db.pool import Pool
from koschey.quarantine.sweep import tell_unsent
from koschey.settings import Settings
from workflows.follow_advisories import FollowAdvisories, FollowAdvisoriesInput
from workflows.follow_upstream import FollowUpstream, FollowUpstreamInput
from workflows.housekeeping import Housekeeping, HousekeepingInput
from workflows.names import ADVISORIES_ID, FOLLOW_ID, HOUSEKEEPING_ID, TASK_QUEUE

EVERY = 60.0
"""Seconds between looks whether they all run."""
TELL_AGAIN = 600.0
"""Seconds between looks for alerts that the webhook has not taken; of new ones it is told at once."""
RPC_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Steady:
    """One of them."""

    workflow: Any
    given: object
    id: str
    summary: str


def steady_workflows(settings: Settings) -> list[Steady]:
    """Return those that the settings ask for."""
    wanted = [
        Steady(
            Housekeeping.run, HousekeepingInput(), HOUSEKEEPING_ID, "ends rules, starts quarantines without a workflow"
        )
    ]
    if settings.follow_upstream:
        wanted.append(Steady(FollowUpstream.run, FollowUpstreamInput(), FOLLOW_ID, "looks at pages of the upstream"))
    if settings.advisories:
        given = FollowAdvisoriesInput()
        wanted.append(Steady(FollowAdvisories.run, given, ADVISORIES_ID, "follows the advisory feed"))
    return wanted


async def keep_running(client: Client, wanted: Sequence[Steady]) -> None:
    """Wake all, now that there is a new worker or Temporal is back, then start what is gone. Has no end."""
    for one in wanted:
        await _start(client, one, "look_again")
    while True:
        await asyncio.sleep(EVERY)
        for one in wanted:
            await _start(client, one, None)


async def keep_telling(pool: Pool) -> None:
    """Have the webhook notified of what it has not taken. Only for a worker that has one. Has no end."""
    while True:
        await tell_unsent(pool)
        await asyncio.sleep(TELL_AGAIN)


async def _start(client: Client, one: Steady, wake: str | None) -> None:
    """Start a workflow, or leave the one that runs alone: the id is the lock."""
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
