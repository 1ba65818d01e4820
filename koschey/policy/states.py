"""The states of a file in an index and the only legal moves between them.

    (unknown) ─► held ─► released ─► blocked ─► held
                  │  └─► blocked
                  └────► malformed | conflict
    every state ─► removed: a tombstone; the name stays used permanently

A trigger in PostgreSQL refuses every other move. A test compares both lists.
"""

from koschey.model import State

LEGAL_MOVES: frozenset[tuple[State, State]] = frozenset(
    {
        (State.HELD, State.RELEASED),
        (State.HELD, State.BLOCKED),
        (State.HELD, State.MALFORMED),
        (State.HELD, State.CONFLICT),
        (State.RELEASED, State.BLOCKED),
        (State.BLOCKED, State.HELD),
        (State.MALFORMED, State.BLOCKED),
        (State.CONFLICT, State.BLOCKED),
        (State.CONFLICT, State.HELD),
        *((state, State.REMOVED) for state in State if state is not State.REMOVED),
    }
)

PENDING = (State.HELD, State.CONFLICT, State.MALFORMED)
"""States of files that are neither served nor refused; every surface lists and counts these files as the quarantine."""
