"""Reads the decisions that were signalled to a quarantine from the history of one of its runs.

Any client that reaches Temporal can write any signal; this module skips those that are no review.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.decisions import SignalledDecision
from koschey.model import quarantine_id
from workflows.decision_queue import CHOICES, NotADecision, read_decision

PAGE = 1_000
PAGES = 5
"""Maximum number of pages read, from the newest event backwards."""
PATIENCE = timedelta(seconds=10)
"""Maximum time for one call."""


@dataclass(frozen=True, slots=True)
class Signalled:
    """One signalled decision."""

    decision: SignalledDecision
    was_handled: bool
    """Whether the run's code has received it: a workflow task was completed after it."""


async def read_signalled(client: Client, project: str, version: str, run: str = "") -> list[Signalled]:
    """Return the decisions in the newest `PAGES * PAGE` events of a run, in their order.

    Without `run`, reads the run that is open now; returns an empty list if none is. Raises `RPCError`.
    """
    found: list[Signalled] = []
    handled = False
    for event in await _newest_events(client, quarantine_id(project, version), run):
        handled = handled or event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        attributes = event.workflow_execution_signaled_event_attributes
        if attributes.signal_name not in CHOICES:
            continue
        given = await _decode(client, attributes.input.payloads)
        try:
            decision = read_decision(project, version, attributes.signal_name, given)
        except NotADecision:
            continue
        found.append(Signalled(decision, handled))
    return found[::-1]


async def _newest_events(client: Client, workflow: str, run: str) -> list[HistoryEvent]:
    """Return the newest events of a run, the newest first; an empty list if there is no such run."""
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=workflow, run_id=run),
        maximum_page_size=PAGE,
    )
    events: list[HistoryEvent] = []
    try:
        for _ in range(PAGES):
            page = await client.workflow_service.get_workflow_execution_history_reverse(request, timeout=PATIENCE)
            events += page.history.events
            request.next_page_token = page.next_page_token
            if not page.next_page_token:
                break
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    return events


async def _decode(client: Client, payloads: Sequence[Payload]) -> list[object]:
    try:
        return await client.data_converter.decode(payloads) if payloads else []
    except Exception:  # noqa: BLE001 - any client can send anything
        return []
