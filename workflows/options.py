"""Timeouts and retries, named once. Temporal's own defaults wait and retry for ever."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy


class Options(TypedDict):
    """What `execute_activity` takes."""

    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta | None
    schedule_to_close_timeout: timedelta
    retry_policy: RetryPolicy


DATABASE = Options(
    start_to_close_timeout=timedelta(seconds=60),
    heartbeat_timeout=None,
    schedule_to_close_timeout=timedelta(hours=1),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5)),
)
FETCH = Options(
    start_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=timedelta(seconds=20),
    schedule_to_close_timeout=timedelta(hours=2),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=2),
        maximum_interval=timedelta(minutes=5),
        # Asking again at once would bring the same; `FETCH_AGAIN_IN` tries later.
        non_retryable_error_types=["UpstreamMalformed", "UpstreamMissing", "EgressRefused"],
    ),
)
FETCH_AGAIN_IN = timedelta(hours=6)
"""When a file that could not be fetched is tried once more."""
PROVENANCE_ROUNDS = 28
"""How often provenance is asked for, `FETCH_AGAIN_IN` apart, of an upstream that does not answer: a week."""
TRY_AGAIN_IN = timedelta(minutes=10)
"""When a quarantine goes on after an outage that was longer than all retries. It never gives up."""
AT_ONCE = timedelta(minutes=1)
"""A wait up to this long means that a window is over."""
FILES_AT_ONCE = 4
"""Files of one release that are fetched side by side."""
