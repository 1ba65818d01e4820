"""Gives freed memory back to the system.

glibc maps blocks of at least 128 KiB one by one, and gives them back when they are freed. But whenever such a block is
freed, it raises that limit, up to 32 MiB: later blocks come from heaps, of which gaps remain. With 64 downloads of
200 MiB at once, a process was 414 MiB large; with a fixed limit, 278 MiB.
"""

import ctypes

M_MMAP_THRESHOLD = -3
"""`mallopt(3)`: "Setting this parameter disables the dynamic adjustment of the mmap threshold"."""
LIMIT = 128 * 2**10
"""In bytes; glibc's own limit at the start of a process."""


def fix_limit_of_mapped_blocks() -> None:
    """Fix the size from which blocks of memory are mapped. Another C library than glibc is left as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LIMIT)
