"""Computes when the quarantine window of a file begins, and when it ends."""

from dataclasses import replace
from datetime import datetime, timedelta

from koschey.model import File, Standing, StandingFile, State
from koschey.policy.rules import RuleKind, Rules


def window_start(
    upload_time: datetime | None, first_seen_at: datetime, last_absent_at: datetime | None, *, believed: bool = True
) -> datetime:
    """Return the moment from which a file's age counts.

    This is the later of the upstream's upload time and the last reading of the page that lacked the file: an upstream
    that backdates a new file gains nothing. The age of a file without an upload time, or from an upstream that is not
    `believed`, counts from when it was first seen. An upload time in the future counts as it is.
    """
    if upload_time is None:
        return first_seen_at
    if not believed:
        return max(upload_time, first_seen_at)
    return max(upload_time, last_absent_at) if last_absent_at else upload_time


def window_of(rules: Rules, version: str, usual: timedelta, *, dated: bool) -> timedelta | None:
    """Return how long a file is held; None if time does not end it.

    `usual` applies if no rule says otherwise; a rule `unknown-age` applies first to a file without an upload time.
    """
    if not dated and (rule := rules.find(RuleKind.UNKNOWN_AGE, version)):
        return rule.days
    return rule.days if (rule := rules.find(RuleKind.WINDOW, version)) else usual


def window_end(start: datetime, window: timedelta) -> datetime:
    """Return the moment at which a window that began at `start` is over."""
    return start + window


def due_at(file: File, standing: Standing, rules: Rules, usual: timedelta) -> datetime | None:
    """Return when time may release a held file by the active rules; None if only a person can."""
    window = window_of(rules, file.version, usual, dated=file.upload_time is not None)
    if standing.counts_from is None or window is None:
        return None
    believed = rules.find(RuleKind.FIRST_SEEN, file.version) is None
    start = standing.counts_from if believed else max(standing.counts_from, file.first_seen_at)
    end = window_end(start, window)
    return max(end, standing.held_until) if standing.held_until else end


def renew(item: StandingFile, rules: Rules, usual: timedelta) -> StandingFile:
    """Return a file with the end of its window by today's rules, not by those under which it was first seen."""
    standing = item.standing
    if standing.state is not State.HELD or standing.counts_from is None:
        return item
    due = due_at(item.file, standing, rules, usual)
    return item if due == standing.release_at else replace(item, standing=replace(standing, release_at=due))
