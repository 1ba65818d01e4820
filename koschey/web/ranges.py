"""Byte ranges (RFC 9110, section 14): one range per request; several are answered with the whole."""

import re

RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Unsatisfiable(Exception):
    """No byte of the file lies in the range: 416."""


def parse_bounded(header: str | None) -> tuple[str, int] | None:
    """Return a range whose length does not depend on the file's size, as `first-last` or `-length`, and the length.

    None for every other range, also for one without an end: so does a client resume a download.
    """
    match = RANGE.fullmatch((header or "").strip())
    if match is None or not match[2]:
        return None
    length = int(match[2]) - int(match[1]) + 1 if match[1] else int(match[2])
    return (f"{match[1]}-{match[2]}", length) if length > 0 else None


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return `(start, stop)`, stop not included, or None for the whole. Raises `Unsatisfiable`."""
    match = RANGE.fullmatch((header or "").strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return max(0, size - int(last)), size
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None  # an invalid range is ignored
    if start >= size:
        raise Unsatisfiable
    return start, stop
