"""Formats values for tables and for JSON."""

from collections.abc import Mapping
from datetime import datetime

from koschey.standards.simple_json import format_time


def minute(moment: datetime | None) -> str:
    """Return a moment for a cell of a table, in UTC, to the minute; the empty string for None."""
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def timed(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values of a row, with every moment formatted for JSON."""
    return {name: format_time(value) if isinstance(value, datetime) else value for name, value in values.items()}
