"""When the quarantine window of a file began, and when it ends."""

from datetime import datetime, timedelta


def window_start(upload_time: datetime | None, first_seen_at: datetime, last_absent_at: datetime | None) -> datetime:
    """Return the moment from which a file's age counts.

    The later of the upstream's upload time and the last look in which the file was absent: an upstream that backdates
    a new file gains nothing. A file without an upload time is as old as our knowledge of it, and one whose upload time
    lies ahead of us is not older than that time.
    """
    if upload_time is None:
        return first_seen_at
    return max(upload_time, last_absent_at) if last_absent_at else upload_time


def window_end(start: datetime, window: timedelta) -> datetime:
    """Return the moment at which a window that began at `start` is over."""
    return start + window
