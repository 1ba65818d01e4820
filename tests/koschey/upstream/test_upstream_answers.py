"""What is sent to an upstream, and what becomes of its answers: statuses, sizes, types, and bodies cut short."""

import asyncio
import socket
from contextlib import AbstractContextManager, nullcontext

import aiohttp
import pytest
from packaging.utils import NormalizedName

from koschey.errors import KoscheyError, UpstreamMalformed, UpstreamMissing, UpstreamUnavailable
from koschey.upstream.client import UpstreamClient
from koschey.upstream.egress import Egress, read_chunks
from tests.support.egress import answer_names, client, get
from tests.support.upstream.server import Upstream


async def test_no_cookie_is_kept(local: Egress, upstream: Upstream) -> None:
    """A cookie that an upstream sets is never sent back, neither to it nor after a redirect."""
    upstream.fault("/set", redirect="/get", headers={"Set-Cookie": "session=1; Path=/"})
    upstream.fault("/get", body=b"egg", headers={"Set-Cookie": "session=2; Path=/"})
    for path in ("/set", "/get"):
        await get(local, upstream.root + path)
    assert [request.path for request in upstream.requests] == ["/set", "/get", "/get"]
    for request in upstream.requests:
        assert not {"cookie", "authorization", "referer", "proxy-authorization"} & {
            name.lower() for name in request.headers
        }
        assert request.headers["User-Agent"].startswith("koschey/")


async def read_into(received: bytearray, response: aiohttp.ClientResponse) -> None:
    async for chunk in read_chunks(response):
        received += chunk


@pytest.mark.parametrize("cut", [{"truncate_at": 100}, {"reset_after": 100}, {"truncate_at": 0}])
async def test_a_body_cut_short_is_noticed(local: Egress, upstream: Upstream, cut: dict[str, int]) -> None:
    """A body that ends before its promised length is an error that may pass, and never taken for the whole."""
    upstream.fault("/file", body=b"x" * 100_000, truncate_at=cut.get("truncate_at"), reset_after=cut.get("reset_after"))
    received = bytearray()
    async with local.get(f"{upstream.root}/file", {}) as response:
        with pytest.raises(UpstreamUnavailable):
            await read_into(received, response)
    assert len(received) <= 100


async def test_who_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch, local: Egress) -> None:
    """Refused connections and unknown names are errors that may pass."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamUnavailable):
        await get(local, f"http://127.0.0.1:{port}/")
    answer_names(monkeypatch)  # without a single answer
    egress = Egress()
    with pytest.raises(UpstreamUnavailable):
        await get(egress, "https://files.example.org/")
    await egress.close()


async def test_what_is_no_http_is_malformed(local: Egress) -> None:
    """A server of another protocol is told as such."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        with pytest.raises(UpstreamMalformed):
            await get(local, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


# The client on top


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, UpstreamMissing),
        (410, UpstreamMissing),
        (429, UpstreamUnavailable),
        (500, UpstreamUnavailable),
        (503, UpstreamUnavailable),
        (401, UpstreamMalformed),
        (403, UpstreamMalformed),
        (204, UpstreamMalformed),
        (304, UpstreamMalformed),  # nobody asked for it
    ],
)
async def test_statuses(local: Egress, upstream: Upstream, status: int, error: type[KoscheyError]) -> None:
    """Only 404 and 410 say that there is no such project; all else is trouble, of a kind that passes or not."""
    upstream.fault("spam", status=status, content_type="text/plain")
    with pytest.raises(error):
        await client(local, upstream).fetch_page(NormalizedName("spam"), None)


@pytest.mark.parametrize("html_only", [False, True])
async def test_pages_are_read_once(upstream: Upstream, local: Egress, *, html_only: bool) -> None:
    """A page is read in the form that the upstream has, and with its ETag it is not read again."""
    upstream.add("egress-page", "1.0")
    upstream.html_only = html_only
    try:
        name, reader = NormalizedName("egress-page"), client(local, upstream)
        page = await reader.fetch_page(name, None)
        assert page is not None
        assert [file.version for file in page.files] == ["1.0"]
        assert page.etag
        assert await reader.fetch_page(name, page.etag) is None
        assert await reader.fetch_page(name, '"other"') == page
    finally:
        upstream.html_only = False


async def test_limits_of_size(local: Egress, upstream: Upstream) -> None:
    """A page or a file larger than allowed is not read to its end."""
    upstream.fault("spam", body=b"x" * 5000, content_type="text/html")
    upstream.fault("/file", body=b"x" * 5000)
    reader = client(local, upstream, max_page=4999, max_file=4999)
    with pytest.raises(UpstreamMalformed, match="MAX_PAGE_MIB"):
        await reader.fetch_page(NormalizedName("spam"), None)
    with pytest.raises(UpstreamMalformed, match="MAX_FILE_MIB"):
        async with reader.fetch_file(f"{upstream.root}/file"):
            pass
    generous = client(local, upstream, max_file=5000)
    async with generous.fetch_file(f"{upstream.root}/file") as download:
        assert download.size == 5000
        assert b"".join([chunk async for chunk in download.chunks]) == b"x" * 5000


@pytest.mark.parametrize(("limit", "whole"), [(4999, False), (5000, True)])
async def test_limits_without_a_promised_length(local: Egress, upstream: Upstream, limit: int, *, whole: bool) -> None:
    """Where nobody says how long a file is, it is counted while it arrives."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write((b"3e8\r\n" + b"x" * 1000 + b"\r\n") * 5 + b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    received = bytearray()
    expected: AbstractContextManager[object] = (
        nullcontext() if whole else pytest.raises(UpstreamMalformed, match="MAX_FILE_MIB")
    )
    async with await asyncio.start_server(send, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/file"
        with expected:
            await collect(received, client(local, upstream, max_file=limit), url)
    assert received == b"x" * 5000 if whole else len(received) <= limit


async def collect(received: bytearray, reader: UpstreamClient, url: str) -> None:
    async with reader.fetch_file(url) as download:
        assert download.size is None
        async for chunk in download.chunks:
            received += chunk


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/zip"])
async def test_only_pages_are_pages(local: Egress, upstream: Upstream, content_type: str) -> None:
    """An answer of another type is no page, and the operator is told which setting to check."""
    upstream.fault("spam", body=b"<html><a href=x>", content_type=content_type)
    with pytest.raises(UpstreamMalformed, match="KOSCHEY_UPSTREAM"):
        await client(local, upstream).fetch_page(NormalizedName("spam"), None)


async def test_files_come_as_they_are(local: Egress, upstream: Upstream) -> None:
    """A file is requested without a content coding; if the server names one, the bytes are those on the wire."""
    upstream.fault("/file", body=b"x", headers={"Content-Encoding": "X-GZip, identity"})
    async with client(local, upstream).fetch_file(f"{upstream.root}/file") as download:
        assert download.codings == ("x-gzip",)
        assert [chunk async for chunk in download.chunks] == [b"x"]
    assert upstream.requests[-1].headers["Accept-Encoding"] == "identity"


async def test_core_metadata(local: Egress, upstream: Upstream) -> None:
    """What stands beside a wheel is read as it is, and a file without it is told as missing."""
    wheel = upstream.add("egress-metadata", "1.0")
    bare = upstream.add("egress-metadata", "2.0", core_metadata=False)
    reader = client(local, upstream)
    assert wheel.metadata
    assert await reader.fetch_metadata(wheel.url) == wheel.metadata
    with pytest.raises(UpstreamMissing):
        await reader.fetch_metadata(bare.url)
