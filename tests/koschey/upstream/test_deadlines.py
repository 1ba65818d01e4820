"""What trickles is given up: each document in a total time, a file below a least rate. What is slow arrives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from koschey.errors import RangesUnsupported, UpstreamUnavailable
from koschey.settings.private_hosts import NO_HOSTS
from koschey.upstream import client
from koschey.upstream.client import UpstreamClient, beside
from koschey.upstream.egress import Egress
from tests.support.upstream.server import Upstream, UpstreamFile

DOCUMENTS: dict[str, Callable[[UpstreamClient, str], Awaitable[object]]] = {
    "core metadata": lambda asks, url: asks.fetch_metadata(url),
    "record": lambda asks, url: asks.fetch_record(url),
    "provenance": lambda asks, url: asks.fetch_provenance(url),
    "range": lambda asks, url: asks.fetch_range(url, "0-999"),
}


@pytest_asyncio.fixture
async def asks(upstream: Upstream) -> AsyncIterator[UpstreamClient]:
    """A client of the upstream."""
    egress = Egress(NO_HOSTS.with_urls([upstream.url]))
    yield UpstreamClient(egress, upstream.url, max_page=2**20, max_file=2**30)
    await egress.close()


@pytest.mark.parametrize("what", list(DOCUMENTS))
async def test_document_that_trickles_is_given_up(
    asks: UpstreamClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """An upstream that sends a document a few bytes at a time, and never falls silent, is unavailable in the end."""
    monkeypatch.setattr(client, "DOCUMENT_TIMEOUT", 0.5)
    monkeypatch.setattr(client, "RANGE_TIMEOUT", 0.5)
    file = upstream.add("trickles", "1.0", size=5000)
    upstream.fault("/packages/", body=None if what == "range" else b"x" * 5000, bytes_per_second=200)
    with pytest.raises(UpstreamUnavailable, match=r"longer than 0\.5 seconds"):
        await DOCUMENTS[what](asks, file.url)


async def received(asks: UpstreamClient, file: UpstreamFile) -> int:
    """How many bytes of a file arrive."""
    async with asks.fetch_file(file.url) as download:
        return sum([len(chunk) async for chunk in download.chunks])


async def test_file_below_the_least_rate_is_given_up(
    asks: UpstreamClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that trickles is given up however large it is, and however far it came at a better rate."""
    monkeypatch.setattr(client, "LEAST_SECONDS", 0.5)
    monkeypatch.setattr(client, "LEAST_BYTES", 50_000)
    file = upstream.add_large("slow-file", "1.0", size=10_000_000)
    upstream.fault(file.filename, bytes_per_second=50_000)
    with pytest.raises(UpstreamUnavailable, match="bytes in"):
        await received(asks, file)


async def test_slow_file_arrives(asks: UpstreamClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that keeps the least rate arrives, though it takes many times as long as one measurement."""
    monkeypatch.setattr(client, "LEAST_SECONDS", 0.2)
    monkeypatch.setattr(client, "LEAST_BYTES", 1000)
    file = upstream.add_large("steady-file", "1.0", size=100_000)
    upstream.fault(file.filename, bytes_per_second=50_000)
    assert await received(asks, file) == file.size


async def test_slow_reader_is_not_the_upstream_s_fault(
    asks: UpstreamClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time in which we do something else with the bytes does not count against the upstream."""
    monkeypatch.setattr(client, "LEAST_SECONDS", 0.2)
    monkeypatch.setattr(client, "LEAST_BYTES", 10**9)
    file = upstream.add_large("read-slowly", "1.0", size=1_000_000)
    count = 0
    async with asks.fetch_file(file.url) as download:
        async for chunk in download.chunks:
            count += len(chunk)
            await asyncio.sleep(0.05)
    assert count == file.size


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://u.test/f/a-1.whl", "https://u.test/f/a-1.whl.metadata"),
        ("https://u.test/f/a-1.whl?token=x", "https://u.test/f/a-1.whl.metadata?token=x"),
        ("https://u.test/f/a-1.whl?token=x/y.whl&b=%2F", "https://u.test/f/a-1.whl.metadata?token=x/y.whl&b=%2F"),
        ("https://u.test/f/a%2B1.whl?", "https://u.test/f/a%2B1.whl.metadata"),
    ],
)
def test_what_stands_beside_a_file_has_its_query(url: str, expected: str) -> None:
    """PEP 658 and 710 append to the path of a file; a query, as of signed storage, stays behind it."""
    assert beside(url, ".metadata") == expected


async def test_server_without_ranges_is_told_apart(asks: UpstreamClient, upstream: Upstream) -> None:
    """A server that answers a range with the whole file does nothing wrong, and is not asked so again for it."""
    file = upstream.add("no-ranges", "1.0", size=5000)
    upstream.fault(file.filename, status=200, body=file.content)
    with pytest.raises(RangesUnsupported):
        await asks.fetch_range(file.url, "-100")
