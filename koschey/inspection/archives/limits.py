"""Limits for archives, for both sides of the pipe. The child imports this module, so it imports little."""

from dataclasses import dataclass

MIB = 2**20

MAX_METADATA = 10 * MIB
"""Maximum number of bytes of METADATA or PKG-INFO."""
MAX_ENTRY_POINTS = MIB
"""Maximum number of bytes of entry_points.txt."""
FREE = 64 * MIB
"""Bytes to which an archive may inflate at any ratio; zeros in tests and tables compress well."""
MAX_RATIO = 50
MAX_INFLATED = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one child process."""

    memory: int = 1024 * MIB
    """Bytes of address space."""
    cpu: int = 60
    """Seconds of processor time."""
    wall: float = 120.0
    """Seconds of wall time until it is killed."""


def is_bomb(inflated: int, stored: int) -> bool:
    """Return whether an archive of `stored` bytes inflates to more than an honest one would."""
    return inflated > MAX_INFLATED or (inflated > FREE and inflated > MAX_RATIO * stored)
