"""Reading a download ahead: nothing is lost or reordered, little is kept in memory, and errors arrive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from koschey.mirror import read_ahead
from koschey.mirror.read_ahead import ReadAhead
from tests.support.archives import noise

KIB = 2**10


class Source:
    """Chunks that arrive, perhaps with pauses between them; notes how many were read."""

    def __init__(self, *sizes: int, pause: float | None = None, error: Exception | None = None) -> None:
        self.chunks = [noise(f"chunk-{number}", size) for number, size in enumerate(sizes)]
        self.read, self._pause, self._error = 0, pause, error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if self._pause is not None:
                await asyncio.sleep(self._pause)
            self.read += 1
            yield chunk
        if self._error:
            raise self._error


@pytest.mark.parametrize("pause", [None, 0, 0.001])
@pytest.mark.parametrize("sizes", [[], [0], [1], [300_000] * 20, [7, 0, 3_000_000, 5]])
async def test_every_byte_comes_once_and_in_order(sizes: list[int], pause: float | None) -> None:
    """The batches together are the download."""
    source = Source(*sizes, pause=pause)
    batches = [batch async for batch in ReadAhead(aiter(source)).batches()]
    assert all(batches)
    assert [chunk for batch in batches for chunk in batch] == source.chunks


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that takes nothing for a while is not flooded."""
    monkeypatch.setattr(read_ahead, "READ_AHEAD", 64 * KIB)
    source, found = Source(*[16 * KIB] * 100), bytearray()
    async with aclosing(ReadAhead(aiter(source)).batches()) as batches:
        async for batch in batches:
            await asyncio.sleep(0.002)
            found += b"".join(batch)
            assert source.read * 16 * KIB - len(found) <= 64 * KIB
    assert bytes(found) == b"".join(source.chunks)


async def test_first_bytes_do_not_wait_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client sees the first bytes of a download that then stops."""
    monkeypatch.setattr(read_ahead, "PATIENCE", 3600.0)
    arrived = asyncio.Event()

    async def stopping() -> AsyncIterator[bytes]:
        yield b"first"
        await arrived.wait()
        yield b"second"

    batches = ReadAhead(stopping()).batches()
    assert await asyncio.wait_for(anext(batches), 10) == [b"first"]
    arrived.set()
    # The end of the download ends the wait for a whole batch.
    assert await asyncio.wait_for(anext(batches), 10) == [b"second"]
    with pytest.raises(StopAsyncIteration):
        await anext(batches)


async def test_error_comes_after_what_arrived_before_it() -> None:
    """What arrived is passed on, then the error of the upstream is raised."""
    found: list[bytes] = []
    source = Source(10, 20, error=ConnectionResetError("gone"))

    async def take() -> None:
        async for batch in ReadAhead(aiter(source)).batches():
            found.extend(batch)

    with pytest.raises(ConnectionResetError):
        await take()
    assert found == source.chunks


async def test_reading_ends_with_the_caller() -> None:
    """No task goes on reading for a caller that left."""
    before = asyncio.all_tasks()
    async with aclosing(ReadAhead(aiter(Source(*[10] * 50, pause=0.01))).batches()) as batches:
        await anext(batches)
    assert asyncio.all_tasks() == before
