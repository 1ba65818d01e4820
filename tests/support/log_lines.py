"""Reads logs of Koschey's processes."""

import json
from typing import Any


def events(log: str, event: str) -> list[dict[str, Any]]:
    """The lines of a log with this event; other programs write lines that are not JSON."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]
