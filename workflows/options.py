"""Timeouts and retries of activities. Temporal's own defaults wait and retry forever."""

from datetime import timedelta
from typing import TypedDict

from temporalio import exceptions
from temporalio.common import RetryPolicy


class LocalOptions(TypedDict):
    """Options of `execute_local_activity`."""

    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    retry_policy: RetryPolicy


class Options(LocalOptions):
    """Options of `execute_activity`."""

    heartbeat_timeout: timedelta | None


READ = LocalOptions(
    start_to_close_timeout=timedelta(seconds=60),
    schedule_to_close_timeout=timedelta(hours=1),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5)),
)
"""For activities of one or two SQL statements. They run in the workflow's own process, at little cost for Temporal."""
DATABASE = Options(heartbeat_timeout=None, **READ)
FETCH = Options(
    start_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=timedelta(seconds=20),
    schedule_to_close_timeout=timedelta(hours=2),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=2),
        maximum_interval=timedelta(minutes=5),
        # An immediate retry would get the same answer; `FETCH_AGAIN_IN` tries later.
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
    # What has killed a worker five times will do so again; the next try comes after `FETCH_AGAIN_IN`, and until then
    # the check's fault says why. The attempts take over seven minutes: a flooded Temporal may lose several in a row
    # although the check is sound.
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=5), backoff_coefficient=4, maximum_attempts=5),
)
LOOK = LocalOptions(
    start_to_close_timeout=timedelta(minutes=2),
    schedule_to_close_timeout=timedelta(minutes=10),
    retry_policy=CHECK["retry_policy"],
)
"""For Koschey's own checks, if they download nothing. What they have recorded is not checked again."""
ALERT = Options(
    start_to_close_timeout=timedelta(seconds=60),
    heartbeat_timeout=None,
    schedule_to_close_timeout=timedelta(days=1),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=10)),
)
"""For one run. While the alert is recent and the webhook has not accepted it, the worker starts another run."""
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
"""For one sweep. If the bucket does not answer, the next round tries again."""
FETCH_AGAIN_IN = timedelta(hours=6)
"""Time until a download that failed, or a check that was not completed, is tried again."""
PROVENANCE_ROUNDS = 28
"""Maximum number of attempts, `FETCH_AGAIN_IN` apart, to get provenance while the upstream does not answer: a week."""
FEED_AGAIN_IN = timedelta(hours=1)
"""Time until the advisory feed is read again."""
TRY_AGAIN_IN = timedelta(minutes=10)
"""Time until a quarantine continues after an outage that outlasted all retries. It never gives up."""
AT_ONCE = timedelta(minutes=1)
"""A wait of at most this length means that a window is over."""
STEP_FAILURES = (exceptions.ActivityError, exceptions.ApplicationError, exceptions.TimeoutError)
"""What a step raises after its last attempt: the first if it was dispatched; a local activity raises its own error."""
FILES_AT_ONCE = 4
"""Maximum number of files of one release that are processed at once."""
EVENTS = 3_000
"""Events after which a run continues as a new one: well below our limit of 5,000, because signals may still arrive."""
SIGNALS = 500
"""Signals after which a run continues as a new one. Temporal accepts 10,000 signals to one run, and refuses more."""
CARRIED = 160_000
"""Maximum number of bytes of pending decisions that one run hands to the next, and that one activity receives."""
ROUND_AGAIN_IN = timedelta(seconds=1)
"""Minimum time from one round to the next, however many `look_again` signals arrive."""
HOUSEKEEPING_EVERY = timedelta(minutes=10)
"""Time between two rounds of housekeeping."""
