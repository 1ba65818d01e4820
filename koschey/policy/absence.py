"""Decides when an absence from an upstream's page is confirmed; until then it is suspected, and is no verdict.

An upstream with a temporary fault answers 404 for files that it has. So only re-checks that are some time apart confirm
an absence. Meanwhile neither time nor trust releases an absent file, and a released file is still served.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from koschey.model import Absence

USUALLY = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
"""Times of the re-checks that confirm an absence, counted from the first reading that found it."""


def next_absence(before: Absence | None, read_at: datetime, after: Sequence[timedelta]) -> Absence:
    """Return the state of an absence after a reading at `read_at` that found it; `before` is None for the first one.

    A re-check counts only once it is due. The next one is due as long after it as `after` says, so late re-checks do
    not follow one another at once.
    """
    if before is None:
        return Absence(read_at, 0, read_at + after[0])
    if before.due_at is None or read_at < before.due_at:
        return before
    looks = before.looks + 1
    if looks >= len(after):
        return Absence(before.since, looks, None)
    return Absence(before.since, looks, read_at + (after[looks] - after[looks - 1]))
