"""When Temporal received a signal: by the time of its event in the history, which only the server writes.

A workflow sees a signal when a worker runs it, which may be an hour later, and a client that can start workflows can
make up what one run hands to the next. So neither is believed: the event itself is read.
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
    """Of the workflow that one activity belongs to; each of its runs is read once at most."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._runs: dict[str, dict[str, datetime]] = {}

    async def age(self, code: str, run: str) -> timedelta | None:
        """Return how long ago the first signal or update with a code was received; None where there is none.

        Receipt and start of the activity are by Temporal's clock, for that of PostgreSQL may differ; the time since the
        start is by this machine's. An empty `run` is the present one.
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
        """Return when each code was received first, by its digest."""
        found: dict[str, datetime] = {}
        handle = activity.client().get_workflow_handle(workflow, run_id=run)
        try:
            async for event in handle.fetch_history_events():
                for digest in _codes(await _decode(_payloads(event))):
                    found.setdefault(digest, event.event_time.ToDatetime(UTC))
        except RPCError as error:
            # There is no such run, or one that Temporal has forgotten: nothing shows that it received anything.
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
    except Exception:  # noqa: BLE001 - anybody can send anything
        return []


def _codes(values: Sequence[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict) and isinstance(code := value.get("code"), str) and (digest := digest_code(code)):
            yield digest
