"""What an upstream lists no more: suspected at first, confirmed by further looks, and until then no verdict.

A mirror that hiccups answers 404 for what it has. So an absence is confirmed only by looks that are some time apart;
meanwhile time and trust release nothing of what is absent, and what was released is served.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from koschey.model import Absence

USUALLY = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
"""After how long, counted from the first look, further looks confirm an absence."""


def next_absence(before: Absence | None, read_at: datetime, after: Sequence[timedelta]) -> Absence:
    """Return how an absence stands after a look, at `read_at`, that found it; `before` is None for the first one.

    A look counts once it is due, and the next one is due as long after it as `after` says: looks that come late do not
    come all at once.
    """
    if before is None:
        return Absence(read_at, 0, read_at + after[0])
    if before.due_at is None or read_at < before.due_at:
        return before
    looks = before.looks + 1
    if looks >= len(after):
        return Absence(before.since, looks, None)
    return Absence(before.since, looks, read_at + (after[looks] - after[looks - 1]))
