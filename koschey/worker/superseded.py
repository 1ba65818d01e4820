"""Replaces runs of workflow types that this version no longer has.

A workflow whose commands change gets a new type name, and its old name is added to `SUPERSEDED`. No old code is kept: a
worker terminates the runs of such a type and starts each quarantine again. PostgreSQL knows which files are held, so
the new run continues from the rows; until it does, held files stay held. The tuple does not name the types of later
versions, so during an upgrade the older workers leave the newer runs alone.

The new run receives each signal that the old run had not carried out: those with a code that is still unused, and those
without a code that the old run's code had not received. The second kind decides only if Temporal has logins of its own.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import structlog
from packaging.utils import canonicalize_name
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.decisions import SignalledDecision
from koschey.auth.codes import digest_code
from koschey.db.pool import Pool
from koschey.db.reviewer_codes import select_codes
from koschey.worker.signal_history import read_signalled
from workflows.decision_queue import DecisionQueue
from workflows.names import TASK_QUEUE, quarantine_id, release_attributes
from workflows.quarantine import Quarantine, QuarantineInput

log = structlog.get_logger()

QUARANTINES = ("QuarantineRelease", "Quarantine")
SUPERSEDED = (*QUARANTINES, "KeepHouse")
"""Names of workflow types of earlier versions. A name in this tuple is never used again."""
EVERY = 60.0
"""Seconds between two passes, because older workers may start such runs during an upgrade."""
RPC_TIMEOUT = timedelta(seconds=10)
RUNNING = (
    f"TaskQueue = '{TASK_QUEUE}' AND ExecutionStatus = 'Running'"
    f" AND WorkflowType IN ({', '.join(repr(name) for name in SUPERSEDED)})"
)


class SupersededRuns:
    """Finds and replaces superseded runs. Of several workers, the one that terminates a run starts its successor."""

    def __init__(self, pool: Pool, client: Client, *, searchable: bool) -> None:
        self._pool = pool
        self._client = client
        self._searchable = searchable

    async def run(self) -> None:
        """Replace superseded runs again and again. Has no end."""
        while True:
            await self.replace_all()
            await asyncio.sleep(EVERY)

    async def replace_all(self) -> int:
        """Replace the superseded runs that exist now; return how many this worker terminated. Raises `RPCError`."""
        found = [each async for each in self._client.list_workflows(RUNNING, rpc_timeout=RPC_TIMEOUT)]
        count = 0
        for each in found:
            if await self._terminate(each.id, each.run_id):
                count += 1
                if each.workflow_type in QUARANTINES:
                    await self._start_again(each.id, each.run_id)
        if count:
            log.info("runs of earlier workflow types were replaced", runs=count)
        return count

    async def _terminate(self, workflow: str, run: str) -> bool:
        """Terminate a run; return False if it is closed already."""
        try:
            await self._client.get_workflow_handle(workflow, run_id=run).terminate(
                "a later version of Koschey has replaced this workflow", rpc_timeout=RPC_TIMEOUT
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return True

    async def _start_again(self, workflow: str, run: str) -> None:
        """Start the quarantine of a release with the decisions that its old run had not carried out."""
        release = _release_of(workflow)
        if release is None:  # any client can start a workflow with any id
            return
        decisions = await self._undecided(*release, run)
        await self._client.start_workflow(
            Quarantine.run,
            QuarantineInput(*release, decisions, searchable=self._searchable),
            id=workflow,
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            # The relay may have started a run meanwhile. It has no decision, and has done nothing that would be lost.
            id_conflict_policy=(
                WorkflowIDConflictPolicy.TERMINATE_EXISTING if decisions else WorkflowIDConflictPolicy.USE_EXISTING
            ),
            static_summary=f"{release[0]} {release[1]} in quarantine",
            search_attributes=release_attributes(*release, searchable=self._searchable),
            rpc_timeout=RPC_TIMEOUT,
        )

    async def _undecided(self, project: str, version: str, run: str) -> list[SignalledDecision]:
        """Return the decisions for the new run, as many as fit into its input."""
        signalled = await read_signalled(self._client, project, version, run)
        digests = [digest for each in signalled if (digest := digest_code(each.decision.code))]
        rows = await select_codes(self._pool, digests, project, version)
        unused = {digest for digest, row in rows.items() if row.used_at is None}
        queue = DecisionQueue([], [])
        for each in signalled:
            is_new = not each.was_handled and not each.decision.code
            if is_new or digest_code(each.decision.code) in unused:
                queue.add(replace(each.decision, received_in=run if each.decision.code else ""))
            if not queue.fits:
                queue.pending.pop()
                break
        return [each.decision for each in queue.pending]


def _release_of(workflow: str) -> tuple[str, str] | None:
    """Return the project and the version in the id of a quarantine; None for any other id."""
    _, project, version = [*workflow.split("/", 2), "", "", ""][:3]
    if "/" in version or not project or not version or canonicalize_name(project) != project:
        return None
    return (project, version) if quarantine_id(project, version) == workflow else None
