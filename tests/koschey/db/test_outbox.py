"""The outbox: work that leaves with its transaction, once for each key, when it is due."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from koschey.db.outbox import Claim, claim_messages, delete_message, delete_sent, insert_message
from koschey.db.pool import Connection, Pool, connect
from koschey.model import FileId
from koschey.outbox import (
    KINDS,
    AlertRaised,
    FileWanted,
    Message,
    MetadataWanted,
    ProvenanceWanted,
    ReleaseHeld,
    parse_message,
    render_message,
)
from tests.support.postgres import set_clock
from tests.support.rows import NOON

SPAM, EGGS = ReleaseHeld(NormalizedName("spam"), "1.0"), ReleaseHeld(NormalizedName("eggs"), "1.0")
MINUTE, TICK = timedelta(minutes=1), timedelta(microseconds=1)

names = st.sampled_from(["spam", "spam-1", "eggs"]).map(NormalizedName)
versions = st.text().filter(lambda text: "/" not in text)
messages: st.SearchStrategy[Message] = (
    st.builds(ReleaseHeld, names, versions)
    | st.builds(FileWanted, st.integers(1, 2**62).map(FileId))
    | st.builds(ProvenanceWanted, names, versions, st.booleans())
    | st.builds(MetadataWanted, names)
    | st.builds(AlertRaised, st.integers(1, 2**62))
)


@given(messages)
def test_messages_survive(message: Message) -> None:
    """What is rendered and parsed again is the same message."""
    kind, key, payload = render_message(message)
    assert parse_message(kind, payload) == message
    assert key.startswith(f"{kind}/")


@given(messages, messages)
def test_keys_tell_messages_apart(first: Message, second: Message) -> None:
    """Two messages have one key if and only if they ask for the same."""
    assert (render_message(first)[1] == render_message(second)[1]) == (first == second)


def test_every_kind_is_known() -> None:
    """The relay can read whatever can be written, and an unknown kind is an error, not a guess."""
    project = NormalizedName("spam")
    every = (SPAM, FileWanted(FileId(1)), ProvenanceWanted(project, "1.0"), MetadataWanted(project), AlertRaised(1))
    assert {render_message(message)[0] for message in every} == set(KINDS)
    with pytest.raises(KeyError):
        parse_message("from_the_future", {})


def read(claims: Sequence[Claim]) -> list[Message]:
    return [parse_message(claim.kind, claim.payload) for claim in claims]


async def due(connection: Connection, limit: int = 50) -> list[Message]:
    """What a relay would be given now, without taking it."""
    transaction = connection.transaction()
    await transaction.start()
    claims = await claim_messages(connection, limit, MINUTE)
    await transaction.rollback()
    return read(claims)


async def test_messages_leave_in_order(connection: Connection) -> None:
    """What is due is given out as it was written, the earliest first, and not more than asked for."""
    await insert_message(connection, SPAM)
    await insert_message(connection, FileWanted(FileId(7)))
    await insert_message(connection, EGGS)
    assert await due(connection) == [SPAM, FileWanted(FileId(7)), EGGS]
    assert await due(connection, 2) == [SPAM, FileWanted(FileId(7))]


async def test_the_same_key_twice_is_once(connection: Connection) -> None:
    """Asking again for what is asked for already changes nothing."""
    for _ in range(3):
        await insert_message(connection, SPAM)
    assert await due(connection) == [SPAM]
    assert await connection.fetchval("SELECT count(*) FROM outbox") == 1


async def test_messages_wait_for_their_time(connection: Connection) -> None:
    """A message with a delay is due at its moment by PostgreSQL's clock, and not before."""
    await set_clock(connection, NOON)
    await insert_message(connection, SPAM, delay=MINUTE)
    await set_clock(connection, NOON + MINUTE - TICK)
    assert await due(connection) == []
    await set_clock(connection, NOON + MINUTE)
    assert await due(connection) == [SPAM]


@pytest.mark.parametrize(("first", "second"), [(MINUTE, timedelta()), (timedelta(), MINUTE)])
async def test_the_earlier_time_counts(connection: Connection, first: timedelta, second: timedelta) -> None:
    """Of two that ask for the same, the one in a hurry is served."""
    await set_clock(connection, NOON)
    await insert_message(connection, SPAM, delay=first)
    await insert_message(connection, SPAM, delay=second)
    assert await due(connection) == [SPAM]


async def test_a_message_leaves_with_its_transaction(connection: Connection) -> None:
    """Work whose cause was rolled back never was."""
    transaction = connection.transaction()
    await transaction.start()
    await insert_message(connection, SPAM)
    await transaction.rollback()
    assert await due(connection) == []


async def test_a_claim_lasts_for_a_while(connection: Connection) -> None:
    """What one relay has claimed no other gets, until the time is over in which a living relay would have sent it."""
    await set_clock(connection, NOON)
    await insert_message(connection, SPAM)
    assert read(await claim_messages(connection, 50, MINUTE)) == [SPAM]
    assert await due(connection) == []
    await set_clock(connection, NOON + MINUTE - TICK)
    assert await due(connection) == []
    await set_clock(connection, NOON + MINUTE)
    assert await due(connection) == [SPAM]


async def test_what_was_sent_is_gone(connection: Connection) -> None:
    """A message that Temporal has taken never comes back, and the others stay."""
    await set_clock(connection, NOON)
    await insert_message(connection, SPAM)
    await insert_message(connection, EGGS)
    claims = await claim_messages(connection, 50, MINUTE)
    await delete_sent(connection, claims[:1])
    await set_clock(connection, NOON + MINUTE)
    assert await due(connection) == [EGGS]


async def test_asked_again_while_it_leaves(connection: Connection) -> None:
    """A cause that comes while the message of an earlier one is being sent has it sent once more, and at once."""
    await set_clock(connection, NOON)
    await insert_message(connection, SPAM)
    [claim] = await claim_messages(connection, 50, MINUTE)
    await insert_message(connection, SPAM)
    await delete_sent(connection, [claim])
    [again] = await claim_messages(connection, 50, MINUTE)
    assert read([again]) == [SPAM]
    await delete_sent(connection, [again])
    assert await connection.fetchval("SELECT count(*) FROM outbox") == 0


async def test_two_relays_never_take_the_same(pool: Pool, connection: Connection) -> None:
    """What one relay is just claiming the others skip without waiting, and get if it fails."""
    wanted = [FileWanted(FileId(number)) for number in range(4)]
    for message in wanted:
        await insert_message(connection, message)
    async with pool.acquire() as first, pool.acquire() as second:
        one, two = first.transaction(), second.transaction()
        await one.start()
        await two.start()
        assert read(await claim_messages(first, 3, MINUTE)) == wanted[:3]
        theirs = await asyncio.wait_for(claim_messages(second, 3, MINUTE), 5)
        assert read(theirs) == wanted[3:]
        await delete_sent(second, theirs[:1])
        await one.rollback()
        await two.commit()
    assert await due(connection) == wanted[:3]


async def test_many_relays_share_the_work(pool: Pool, connection: Connection) -> None:
    """Ten relays at once take every message once."""
    wanted = {FileWanted(FileId(number)) for number in range(40)}
    for message in wanted:
        await insert_message(connection, message)
    batches = await asyncio.gather(*(claim_messages(pool, 10, MINUTE) for _ in range(10)))
    batches.append(await claim_messages(pool, 50, MINUTE))  # what all had skipped for another's sake
    taken = [message for batch in batches for message in read(batch)]
    assert len(taken) == len(wanted)
    assert set(taken) == wanted


async def test_a_message_can_be_taken_back(connection: Connection) -> None:
    """What is not needed any more is removed by what it says, and nothing else is."""
    await insert_message(connection, FileWanted(FileId(1)), delay=MINUTE)
    await insert_message(connection, FileWanted(FileId(11)))
    await delete_message(connection, FileWanted(FileId(1)))
    await delete_message(connection, SPAM)
    assert [row["key"] for row in await connection.fetch("SELECT key FROM outbox")] == ["file_wanted/11"]


async def test_the_relay_is_woken_at_the_commit(connection: Connection, database: str) -> None:
    """A relay that sleeps hears of new work when it can be read."""
    heard = asyncio.Event()
    listener = await connect(database)
    await listener.add_listener("koschey_outbox", lambda *_: heard.set())
    async with connection.transaction():
        await insert_message(connection, SPAM)
        assert await listener.fetchval("SELECT count(*) FROM outbox") == 0
        assert not heard.is_set()
    await asyncio.wait_for(heard.wait(), 10)
    await listener.close()
