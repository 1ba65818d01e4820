"""The reader of upload forms by itself: its limits of size, memory and pace."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from koschey.errors import Busy, Refused
from koschey.web import multipart
from koschey.web.form_limits import FormBudget, FormLimits
from koschey.web.multipart import FormReader, Pace, RequestBody
from koschey.web.spool import Spool
from tests.support.uploads import MULTIPART, encoded


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    """A body in pieces."""
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


async def test_file_beyond_the_limit_is_refused_while_it_arrives() -> None:
    """A body that announces nothing is refused at the byte that is too much."""
    spool = Spool(None, 1_000_000)
    with pytest.raises(Refused, match="File too large") as refusal:
        await FormReader(spool).read(chunks(encoded({}, "x", bytes(2_000_000))), MULTIPART)
    assert refusal.value.status == 413
    assert spool.size < 1_100_000
    spool.close()


async def test_stalled_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends nothing for a while is told so, with 408."""
    monkeypatch.setattr(multipart, "STALL", 0.05)
    with pytest.raises(Refused) as refusal:
        async for _ in RequestBody(asyncio.Event().wait).chunks():
            pass
    assert refusal.value.status == 408


async def test_body_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a byte now and then never stalls, and is told with 408 that it is too slow."""
    monkeypatch.setattr(multipart, "WINDOW", 0.2)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(Refused, match="bytes of the upload arrived in 0 seconds; at least 245760 are") as refusal:
        async for _ in RequestBody(receive).chunks():
            pass
    assert refusal.value.status == 408


async def test_time_of_our_own_is_not_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a chunk is written, or others have their turn, the client is not waited for."""
    monkeypatch.setattr(multipart, "WINDOW", 0.05)
    left = 20

    async def receive() -> dict[str, object]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"x", "more_body": left > 0}

    async for _ in RequestBody(receive).chunks():
        await asyncio.sleep(0.01)
    assert left == 0


def test_pace_is_judged_window_by_window() -> None:
    """Every minute of waiting must bring 240 KiB; what came before does not count for it."""
    pace = Pace()
    for _ in range(10):
        pace.note(59, 10)
        pace.note(1, 250_000)
    pace.note(30, 10**9)
    pace.note(30, 0)
    pace.note(59, 100_000)
    with pytest.raises(Refused, match="only 100001 bytes of the upload arrived in 60 seconds") as refusal:
        pace.note(1, 1)
    assert refusal.value.status == 408


async def test_form_of_ten_thousand_fields_is_read() -> None:
    """A form with a field for each of thousands of extras is read whole, and in its order."""
    spool = Spool(None, 10)
    parts = b"".join(
        b'--b0undary\r\nContent-Disposition: form-data; name="requires_dist"\r\n\r\nacme-%d\r\n' % number
        for number in range(10_000)
    )
    reader = FormReader(spool)
    await reader.read(chunks(parts + encoded({}, "x", b"x")), MULTIPART)
    assert reader.fields == [("requires_dist", f"acme-{number}") for number in range(10_000)]
    spool.close()


async def test_b8_forms_share_one_budget() -> None:
    """B8: Forms too large together wait for no memory: the last is told to come back, and what it had is free."""
    budget, spool = FormBudget(3_000_000), Spool(None, 10)
    body = encoded({"description": "x" * 1_000_000}, "x", b"x")
    first, second, third, fourth = (FormReader(spool, FormLimits(), budget) for _ in range(4))
    await first.read(chunks(body), MULTIPART)
    await second.read(chunks(body), MULTIPART)
    with pytest.raises(Busy, match="try again soon"):
        await third.read(chunks(body), MULTIPART)
    third.close()
    first.close()
    await fourth.read(chunks(body), MULTIPART)
    second.close()
    fourth.close()
    budget.reserve(3_000_000)
    spool.close()


async def test_body_is_taken_no_faster_than_it_is_read() -> None:
    """The next chunk is asked of the server only when the last was dealt with, so that memory stays small."""
    asked = 0

    async def receive() -> dict[str, object]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"x", "more_body": asked < 5}

    read = 0
    async for _ in RequestBody(receive).chunks():
        read += 1
        assert asked == read
    assert read == 5
