"""Relays the outbox to Temporal: at least once, the oldest message first, and again after every crash."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from koschey.concurrency.supervision import Background
from koschey.concurrency.waiting import set_within
from koschey.db.listen import Listener
from koschey.db.outbox import Claim, claim_messages, delete_sent
from koschey.db.pool import LOST, Pool, is_outage
from koschey.outbox import (
    AlertRaised,
    FileWanted,
    Message,
    MetadataWanted,
    ProvenanceWanted,
    ReleaseHeld,
    parse_message,
)
from workflows.attach_provenance import AttachProvenance, AttachProvenanceInput
from workflows.describe_project import DescribeProject, DescribeProjectInput
from workflows.fetch_file import FetchFile, FetchFileInput
from workflows.names import (
    TASK_QUEUE,
    alert_id,
    fetch_id,
    metadata_id,
    provenance_id,
    quarantine_id,
    release_attributes,
)
from workflows.quarantine import Quarantine, QuarantineInput
from workflows.send_alert import SendAlert, SendAlertInput

log = structlog.get_logger()

BATCH = 10
"""Maximum number of messages sent at once. More would only queue in Temporal behind work in progress."""
POLL = 1.0
"""Seconds between two searches for messages that become due by time; PostgreSQL notifies of new ones at once."""
RPC_TIMEOUT = timedelta(seconds=10)
CLAIM = timedelta(seconds=30)
"""Time until a message that could not be sent is tried again."""


OUTAGES = (RPCError, *LOST)
"""Errors while Temporal or PostgreSQL is unavailable: messages stay in the outbox."""


class Relay:
    """Relays messages. Each worker has one; each claims messages that the others have not claimed."""

    def __init__(self, pool: Pool, client: Client, database_url: str, *, searchable: bool, webhook: bool) -> None:
        self._pool = pool
        self._client = client
        self._searchable = searchable
        self._webhook = webhook
        self._heard = asyncio.Event()
        self._listener = Listener(database_url, {"koschey_outbox": lambda *_: self._heard.set()})

    def start(self, tasks: Background) -> None:
        """Start two tasks of this process: the relay, and the listener for new messages."""
        tasks.start("the relay of the outbox", self._run, lambda error: isinstance(error, OUTAGES))
        tasks.start("the listener of the relay", self._listener.run, is_outage)

    async def _run(self) -> None:
        while True:
            self._heard.clear()
            if await self._relay_batch() < BATCH:
                await set_within(self._heard, POLL)

    async def _relay_batch(self) -> int:
        claims = await claim_messages(self._pool, BATCH, CLAIM)
        # At once: each message is for another workflow, or wakes it for another reason.
        results = await asyncio.gather(*map(self._relay, claims), return_exceptions=True)
        sent = [claim for claim, result in zip(claims, results, strict=True) if result is True]
        if sent:
            await delete_sent(self._pool, sent)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(claims)

    async def _relay(self, claim: Claim) -> bool:
        """Send one message, and return whether that succeeded. One that can never be sent must not delay the others."""
        try:
            await self._send(parse_message(claim.kind, claim.payload))
        except (KeyError, TypeError) as error:
            log.warning("this version does not know the kind of a message", claim=claim, error=repr(error))
        except OUTAGES as error:
            if not (isinstance(error, RPCError) and error.status is RPCStatusCode.INVALID_ARGUMENT):
                raise
            log.warning("Temporal does not accept a message", claim=claim, error=str(error))
        except Exception:
            log.exception("a message cannot be sent", claim=claim)
        else:
            return True
        return False

    async def _send(self, message: Message) -> None:
        """Start the workflow, or wake the one that runs: the id is the lock. Without a webhook, no alert starts one."""
        if isinstance(message, AlertRaised) and not self._webhook:
            return
        start = _start(message, searchable=self._searchable)
        await self._client.start_workflow(
            start.workflow,
            start.given,
            id=start.id,
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=start.signal,
            start_signal_args=start.signal_args,
            static_summary=start.summary,
            search_attributes=start.attributes,
            rpc_timeout=RPC_TIMEOUT,
        )


@dataclass(frozen=True, slots=True)
class _Start:
    """The workflow that a message starts, and the signal that wakes a running one."""

    workflow: Any
    given: object
    id: str
    summary: str
    signal: str | None = None
    signal_args: Sequence[object] = ()
    attributes: TypedSearchAttributes = TypedSearchAttributes.empty


def _start(message: Message, *, searchable: bool) -> _Start:
    match message:
        case ReleaseHeld(project, version, wake):
            return _Start(
                Quarantine.run,
                QuarantineInput(project, version, searchable=searchable),
                quarantine_id(project, version),
                f"{project} {version} in quarantine",
                "look_again" if wake else None,
                attributes=release_attributes(project, version, searchable=searchable),
            )
        case FileWanted(file):
            return _Start(FetchFile.run, FetchFileInput(file), fetch_id(file), f"finish the fetch of file {file}")
        case ProvenanceWanted(project, version, again):
            return _Start(
                AttachProvenance.run,
                AttachProvenanceInput(project, version),
                provenance_id(project, version),
                f"provenance of {project} {version}",
                "look_again",
                [again],
            )
        case AlertRaised(alert):
            return _Start(SendAlert.run, SendAlertInput(alert), alert_id(alert), f"send alert {alert}")
        case MetadataWanted(project):
            return _Start(
                DescribeProject.run,
                DescribeProjectInput(project),
                metadata_id(project),
                f"core metadata of {project}",
                "look_again",
            )
