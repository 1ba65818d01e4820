"""Values as tables and JSON show them."""

from collections.abc import Mapping
from datetime import datetime

from koschey.standards.simple_json import format_time


def minute(moment: datetime | None) -> str:
    """Return a moment as a cell of a table: UTC, to the minute; empty for none."""
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def timed(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values of a row with every moment as JSON has it."""
    return {name: format_time(value) if isinstance(value, datetime) else value for name, value in values.items()}
