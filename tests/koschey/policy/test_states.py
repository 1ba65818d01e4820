"""The legal moves, said twice: in Python and, binding, in the database."""

import re
from itertools import product

import asyncpg
import pytest

from koschey.db.pool import Connection
from koschey.db.standings import update_states
from koschey.model import State
from koschey.policy.states import LEGAL_MOVES
from tests.support.rows import A_TEST, add_project, new_file, select_states


async def test_both_lists_of_moves_are_alike(connection: Connection) -> None:
    """The table `legal_move` holds exactly the moves that the policy knows."""
    rows = await connection.fetch("SELECT from_state, to_state FROM legal_move")
    assert {(row["from_state"], row["to_state"]) for row in rows} == LEGAL_MOVES


async def test_the_trigger_refuses_every_other_move(connection: Connection) -> None:
    """Of all pairs of states the database lets through the legal moves, and standing still, and nothing else."""
    project = await add_project(
        connection, "spam", [new_file(f"spam-1.{number}.zip", state) for number, state in enumerate(State)]
    )
    ids = {
        row["state"]: row["file_id"] for row in await connection.fetch("SELECT state, file_id FROM standing ORDER BY 1")
    }
    allowed, refusals = set(), []
    for before, after in product(State, State):
        attempt = connection.transaction()
        await attempt.start()
        try:
            await update_states(connection, [ids[before]], after, A_TEST)
            allowed.add((before, after))
        except asyncpg.RaiseError as error:
            refusals.append(str(error))
        await attempt.rollback()
    assert len(refusals) == len(State) ** 2 - len(allowed)
    assert all(re.fullmatch("a file that is [a-z]+ cannot become [a-z]+", refusal) for refusal in refusals)
    assert allowed == LEGAL_MOVES | {(state, state) for state in State}
    assert set((await select_states(connection, project)).values()) == set(State)


async def test_a_state_has_a_known_name(connection: Connection) -> None:
    """The database knows the six states and takes no other word for one."""
    await add_project(connection, "spam", [new_file("spam-1.zip")])
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("INSERT INTO standing VALUES (1, 1, 'approved', '')")


@pytest.mark.parametrize(
    ("before", "after", "legal"),
    [
        (State.HELD, State.RELEASED, True),
        (State.BLOCKED, State.RELEASED, False),  # block beats approve: first unblocked, then looked at
        (State.RELEASED, State.HELD, False),
        (State.RELEASED, State.CONFLICT, False),  # what is served keeps its bytes
        (State.REMOVED, State.HELD, False),  # a tombstone
        (State.MALFORMED, State.RELEASED, False),
        (State.CONFLICT, State.RELEASED, False),
    ],
)
def test_moves_that_matter(before: State, after: State, *, legal: bool) -> None:
    """Only from being held does a way lead to being released."""
    assert ((before, after) in LEGAL_MOVES) is legal


def test_one_way_to_be_released() -> None:
    """Every released file was held before, and every state can end as a tombstone."""
    assert {before for before, after in LEGAL_MOVES if after is State.RELEASED} == {State.HELD}
    assert {before for before, after in LEGAL_MOVES if after is State.REMOVED} == set(State) - {State.REMOVED}
