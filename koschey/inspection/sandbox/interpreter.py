"""How Python starts in a child process that handles untrusted texts and archives: its options, and its descriptors."""

import os

ISOLATED = ("-I", "-B", "-X", "utf8", "-W", "ignore")
"""Interpreter options: no user folder, no environment variables and no current folder on the path; no bytecode is
written, texts are UTF-8, and warnings are not printed."""

HIGHEST = 2**16
"""All descriptors of a child are below this number."""


def close_others(*kept: int) -> None:
    """Close every descriptor above 2 but those that are to be kept.

    asyncio closes them before the child's program begins. uvloop lets the child inherit all that are inheritable, such
    as sockets that a server shares with its processes.
    """
    first = 3
    for descriptor in sorted(number for number in kept if number >= first):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, HIGHEST)
