"""When the quarantine window of a file began, and when it ends."""

from dataclasses import replace
from datetime import datetime, timedelta

from koschey.model import File, Standing, StandingFile, State
from koschey.policy.rules import RuleKind, Rules


def window_start(
    upload_time: datetime | None, first_seen_at: datetime, last_absent_at: datetime | None, *, believed: bool = True
) -> datetime:
    """Return the moment from which a file's age counts.

    The later of the upstream's upload time and the last look in which the file was absent: an upstream that backdates
    a new file gains nothing. A file without an upload time, or from an upstream that is not `believed`, is as old as
    our knowledge of it; one whose upload time lies ahead of us is not older than that time.
    """
    if upload_time is None:
        return first_seen_at
    if not believed:
        return max(upload_time, first_seen_at)
    return max(upload_time, last_absent_at) if last_absent_at else upload_time


def window_of(rules: Rules, version: str, usual: timedelta, *, dated: bool) -> timedelta | None:
    """Return how long a file is held; None where time does not end it.

    `usual` counts where no rule says otherwise; a file whose upload time is not known may have a rule of its own.
    """
    if not dated and (rule := rules.find(RuleKind.UNKNOWN_AGE, version)):
        return rule.days
    return rule.days if (rule := rules.find(RuleKind.WINDOW, version)) else usual


def window_end(start: datetime, window: timedelta) -> datetime:
    """Return the moment at which a window that began at `start` is over."""
    return start + window


def due_at(file: File, standing: Standing, rules: Rules, usual: timedelta) -> datetime | None:
    """Return when time may let a held file out, by the rules that are in force; None where only a person does."""
    window = window_of(rules, file.version, usual, dated=file.upload_time is not None)
    if standing.counts_from is None or window is None:
        return None
    believed = rules.find(RuleKind.FIRST_SEEN, file.version) is None
    start = standing.counts_from if believed else max(standing.counts_from, file.first_seen_at)
    end = window_end(start, window)
    return max(end, standing.held_until) if standing.held_until else end


def renew(item: StandingFile, rules: Rules, usual: timedelta) -> StandingFile:
    """Return a file whose window ends as the rules of today say, not those under which it was first seen."""
    standing = item.standing
    if standing.state is not State.HELD or standing.counts_from is None:
        return item
    due = due_at(item.file, standing, rules, usual)
    return item if due == standing.release_at else replace(item, standing=replace(standing, release_at=due))
