"""What an archive may cost. Shared by both sides of the pipe, and light, because the child imports it."""

from dataclasses import dataclass

MIB = 2**20

MAX_METADATA = 10 * MIB
"""Bytes of METADATA or PKG-INFO."""
MAX_ENTRY_POINTS = MIB
"""Bytes of entry_points.txt."""
FREE = 64 * MIB
"""An archive may inflate to this size whatever its ratio; zeros in tests and tables compress well."""
MAX_RATIO = 50
MAX_INFLATED = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one child process."""

    memory: int = 1024 * MIB
    """Bytes of address space."""
    cpu: int = 60
    """Seconds of processor time."""
    wall: float = 120.0
    """Seconds until it is killed."""


def is_bomb(inflated: int, stored: int) -> bool:
    """Tell whether an archive of `stored` bytes inflates to more than an honest one would."""
    return inflated > MAX_INFLATED or (inflated > FREE and inflated > MAX_RATIO * stored)
