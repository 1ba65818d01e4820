"""Timeouts and retries, named once. Temporal's own defaults wait and retry for ever."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy


class LocalOptions(TypedDict):
    """What `execute_local_activity` takes."""

    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    retry_policy: RetryPolicy


class Options(LocalOptions):
    """What `execute_activity` takes."""

    heartbeat_timeout: timedelta | None


READ = LocalOptions(
    start_to_close_timeout=timedelta(seconds=60),
    schedule_to_close_timeout=timedelta(hours=1),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5)),
)
"""For what one statement or two answer: it runs where the workflow runs, and costs Temporal next to nothing."""
DATABASE = Options(heartbeat_timeout=None, **READ)
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
DECIDE = Options(
    start_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=timedelta(seconds=60),
    schedule_to_close_timeout=timedelta(hours=1),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
)
PROVENANCE = Options(
    start_to_close_timeout=timedelta(minutes=30),
    heartbeat_timeout=timedelta(seconds=20),
    schedule_to_close_timeout=timedelta(hours=1),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=2), maximum_attempts=5),
)
CHECK = Options(
    start_to_close_timeout=timedelta(minutes=30),
    heartbeat_timeout=timedelta(seconds=20),
    schedule_to_close_timeout=timedelta(hours=2),
    # What makes a worker die five times will do so again; `FETCH_AGAIN_IN` tries later, and says so until then. The
    # attempts go over seven minutes: a Temporal that is flooded may lose several in a row without our fault.
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=5), backoff_coefficient=4, maximum_attempts=5),
)
LOOK = LocalOptions(
    start_to_close_timeout=timedelta(minutes=2),
    schedule_to_close_timeout=timedelta(minutes=10),
    retry_policy=CHECK["retry_policy"],
)
"""For a check that only compares what is known."""
ALERT = Options(
    start_to_close_timeout=timedelta(seconds=60),
    heartbeat_timeout=None,
    schedule_to_close_timeout=timedelta(days=1),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=10)),
)
"""One run; while the alert is news, and the webhook has not taken it, the worker starts another."""
FOLLOW = Options(
    start_to_close_timeout=timedelta(minutes=30),
    heartbeat_timeout=timedelta(seconds=20),
    schedule_to_close_timeout=timedelta(hours=1),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=5)),
)
SWEEP = Options(
    start_to_close_timeout=timedelta(minutes=5),
    heartbeat_timeout=None,
    schedule_to_close_timeout=timedelta(minutes=20),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=5), maximum_attempts=3),
)
"""While the bucket is away the next round tries again."""
FETCH_AGAIN_IN = timedelta(hours=6)
"""When a file that could not be fetched, or a check that could not be completed, is tried once more."""
PROVENANCE_ROUNDS = 28
"""How often provenance is asked for, `FETCH_AGAIN_IN` apart, of an upstream that does not answer: a week."""
FEED_AGAIN_IN = timedelta(hours=1)
"""When the advisory feed is read again."""
TRY_AGAIN_IN = timedelta(minutes=10)
"""When a quarantine goes on after an outage that was longer than all retries. It never gives up."""
AT_ONCE = timedelta(minutes=1)
"""A wait up to this long means that a window is over."""
FILES_AT_ONCE = 4
"""Files of one release that are seen to side by side."""
EVENTS = 3_000
"""Events after which a run goes on as a new one: well before the 5,000 that we allow: signals may pour in meanwhile."""
SIGNALS = 500
"""Signals after which a run goes on as a new one. Temporal takes 10,000 for one run, and refuses more."""
CARRIED = 160_000
"""Bytes of decisions, not carried out yet, that one run hands to the next at the most, and that one activity takes."""
ROUND_AGAIN_IN = timedelta(seconds=1)
"""From one round to the next, however often somebody asks to look again."""
HOUSEKEEPING_EVERY = timedelta(minutes=10)
"""Time between two rounds of housekeeping."""
