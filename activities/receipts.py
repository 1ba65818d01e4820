"""When Temporal received a signal: the time of its event in the history, which only the server writes.

A workflow sees a signal when a worker runs the workflow, which may be an hour later. A client that can start workflows
can invent what one run hands to the next. So this module trusts neither and reads the event itself.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.service import RPCError, RPCStatusCode

from koschey.auth.codes import digest_code


class Receipts:
    """The receipts of the workflow to which one activity belongs. Each of its runs is read at most once."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._runs: dict[str, dict[str, datetime]] = {}

    async def age(self, code: str, run: str) -> timedelta | None:
        """Return how long ago Temporal first received a signal or update with a code; None if it received none.

        The times of the receipt and of the activity's start are by Temporal's clock, because PostgreSQL's may differ.
        The time since the start is by this machine's clock. An empty `run` means the current run.
        """
        info = activity.info()
        run = run or info.workflow_run_id or ""
        if run not in self._runs:
            self._runs[run] = await self._read(info.workflow_id or "", run)
        received = self._runs[run].get(digest_code(code) or "")
        if received is None:
            return None
        return info.started_time - received + timedelta(seconds=time.monotonic() - self._begun)

    async def _read(self, workflow: str, run: str) -> dict[str, datetime]:
        """Return by the digest of each code when it was first received."""
        found: dict[str, datetime] = {}
        handle = activity.client().get_workflow_handle(workflow, run_id=run)
        try:
            async for event in handle.fetch_history_events():
                for digest in _codes(await _decode(_payloads(event))):
                    found.setdefault(digest, event.event_time.ToDatetime(UTC))
        except RPCError as error:
            # The run does not exist, or Temporal no longer has it: nothing shows that it received a signal.
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                raise
        return found


def _payloads(event: HistoryEvent) -> Sequence[Payload]:
    if event.HasField("workflow_execution_signaled_event_attributes"):
        return event.workflow_execution_signaled_event_attributes.input.payloads
    if event.HasField("workflow_execution_update_accepted_event_attributes"):
        return event.workflow_execution_update_accepted_event_attributes.accepted_request.input.args.payloads
    return ()


async def _decode(payloads: Sequence[Payload]) -> list[object]:
    try:
        return await activity.client().data_converter.decode(payloads) if payloads else []
    except Exception:  # noqa: BLE001 - any client can send anything
        return []


def _codes(values: Sequence[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict) and isinstance(code := value.get("code"), str) and (digest := digest_code(code)):
            yield digest
