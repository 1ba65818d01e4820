"""Formats values for pages. Pure functions, which the templates use as filters."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from koschey.texts import shell_line

MINUTE, HOUR, DAY = 60, 3600, 86400
UNITS = ((365 * DAY, "y"), (DAY, "d"), (HOUR, "h"), (MINUTE, "min"))
MAX_JSON = 20_000
"""Maximum number of characters of evidence on a page."""
LISTED = 10
"""Number of items of a list that are shown; of a longer list, the first."""
SIZES = ("kB", "MB", "GB", "TB")


def show_time(moment: datetime) -> str:
    """Return a time in UTC, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def machine_time(moment: datetime) -> str:
    """Return a time for the attribute `datetime`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def show_distance(moment: datetime, now: datetime) -> str:
    """Return how far a time lies from now, in its two largest units: `in 6 d 3 h`, `5 min ago`."""
    seconds = (moment - now).total_seconds()
    if abs(seconds) < MINUTE:
        return "in less than a minute" if seconds > 0 else "just now"
    text = show_span(abs(moment - now))
    return f"in {text}" if seconds > 0 else f"{text} ago"


def show_span(span: timedelta) -> str:
    """Return a span of time in its two largest units: `6 d 3 h`, `5 min`, `12 s`."""
    parts, rest = [], int(span.total_seconds())
    if rest < MINUTE:
        return f"{rest} s"
    for length, unit in UNITS:
        count, rest = divmod(rest, length)
        parts.append((count, unit))
    first = next(place for place, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def show_size(size: int) -> str:
    """Return a number of bytes in a decimal unit, as in `1.5 MB`."""
    if size < 1000:
        return f"{size} B"
    scaled = float(size)
    for unit in SIZES:
        scaled /= 1000
        if scaled < 999.5 or unit == SIZES[-1]:
            break
    return f"{scaled:.1f} {unit}" if scaled < 10 else f"{scaled:.0f} {unit}"


def show_json(value: Mapping[str, Any]) -> str:
    """Return evidence as indented JSON, cut after `MAX_JSON` characters."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= MAX_JSON else f"{text[:MAX_JSON]}\n… ({len(text):,} characters in all)"


def show_detail(detail: Mapping[str, Any]) -> str:
    """Return the details of a journal entry: first the reason alone, then all other values with their names."""
    named = [f"{key}: {_cut(value)}" for key, value in detail.items() if key != "reason" and value is not None]
    reason = detail.get("reason")
    return "; ".join([str(reason), *named] if reason else named)


def _cut(value: object) -> object:
    """Return the first items of a list as text, because a list may have thousands; return other values unchanged."""
    if not isinstance(value, list):
        return value
    more = f" and {len(value) - LISTED:,} more" if len(value) > LISTED else ""
    return ", ".join(str(each) for each in value[:LISTED]) + more


def without_login(url: str) -> str:
    """Return a URL without the user name and password that a setting may contain."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def count_of(number: int, noun: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def show_command(words: Sequence[str]) -> str:
    """Return a command line to copy."""
    return shell_line(*words)


FILTERS: dict[str, Callable[..., str]] = {
    "show_time": show_time,
    "machine_time": machine_time,
    "show_distance": show_distance,
    "show_span": show_span,
    "show_size": show_size,
    "show_command": show_command,
    "show_detail": show_detail,
    "show_json": show_json,
    "count_of": count_of,
}
