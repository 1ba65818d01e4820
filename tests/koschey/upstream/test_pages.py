"""Pages of upstreams as they are on the wire: codings, encodings, addresses, redirects, and how long they take."""

import codecs
import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from packaging.utils import NormalizedName

from koschey.errors import KoscheyError, UpstreamMalformed, UpstreamMissing, UpstreamUnavailable
from koschey.model import UpstreamPage
from koschey.settings.private_hosts import NO_HOSTS
from koschey.upstream import client as clients
from koschey.upstream.client import UpstreamClient
from koschey.upstream.egress import Egress
from tests.support.upstream.server import JSON, Upstream, UpstreamFile

MIB = 2**20
SPAM = NormalizedName("w-spam")


@pytest.fixture
async def egress(upstream: Upstream) -> AsyncIterator[Egress]:
    """What may talk to the upstream."""
    egress = Egress(NO_HOSTS.with_urls([upstream.url]))
    yield egress
    await egress.close()


def client(egress: Egress, upstream: Upstream, **more: Any) -> UpstreamClient:
    """A client of the upstream, for pages of up to a MiB."""
    return UpstreamClient(egress, upstream.url, **{"max_page": MIB, "max_file": MIB, **more})


async def read(egress: Egress, upstream: Upstream, **more: Any) -> UpstreamPage:
    """The page of the one project."""
    page = await client(egress, upstream, **more).fetch_page(SPAM, None)
    assert page is not None
    return page


def publish(upstream: Upstream) -> tuple[UpstreamFile, bytes]:
    """A release, and the page that lists it."""
    file = upstream.add(SPAM, "1.0")
    return file, json.dumps(upstream.project_detail(SPAM)).encode()


def raw_deflate(body: bytes) -> bytes:
    """Without zlib's frame, as some servers send `deflate`."""
    deflated = zlib.compressobj(wbits=-15)
    return deflated.compress(body) + deflated.flush()


def members(body: bytes) -> bytes:
    """Two members, with zeros after them."""
    return gzip.compress(body[:10]) + gzip.compress(body[10:]) + b"\0" * 100


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("gzip", members),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
        ("deflate, x-gzip", lambda body: gzip.compress(zlib.compress(body))),
        ("gzip,identity,gzip, gzip", lambda body: gzip.compress(gzip.compress(gzip.compress(body)))),
        ("identity", bytes),
        ("", bytes),
    ],
)
async def test_content_codings(
    upstream: Upstream, egress: Egress, coding: str, encode: Callable[[bytes], bytes]
) -> None:
    """Pages are read in every coding that was requested, under its old name too, and in several of them."""
    file, body = publish(upstream)
    upstream.fault(SPAM, body=encode(body), content_type=JSON, headers={"Content-Encoding": coding}, status=200)
    assert [found.filename for found in (await read(egress, upstream)).files] == [file.filename]
    assert upstream.requests[-1].headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("coding", "encode", "error", "words"),
    [
        ("br", bytes, UpstreamMalformed, "'br', which was not requested"),
        ("gzip, aes128gcm", gzip.compress, UpstreamMalformed, "not requested"),
        ("gzip", bytes, UpstreamMalformed, "not in the content coding"),
        ("deflate", lambda body: b"\x78\x9c" + body, UpstreamMalformed, "not in the content coding"),
        ("gzip", lambda body: gzip.compress(body)[:-9], UpstreamUnavailable, "broke off"),
        ("gzip, gzip", lambda body: gzip.compress(gzip.compress(body)[:-9]), UpstreamUnavailable, "broke off"),
        ("gzip", lambda _: b"", UpstreamUnavailable, "broke off"),
        ("gzip, gzip, gzip, gzip", bytes, UpstreamMalformed, "4 content codings; Koschey accepts at most 3"),
    ],
)
async def test_codings_that_cannot_be_undone(
    upstream: Upstream,
    egress: Egress,
    coding: str,
    encode: Callable[[bytes], bytes],
    error: type[KoscheyError],
    words: str,
) -> None:
    """What is not in the coding that it names, or breaks off in it, is an error of the upstream in clear words."""
    _, body = publish(upstream)
    upstream.fault(SPAM, body=encode(body), content_type=JSON, headers={"Content-Encoding": coding}, status=200)
    with pytest.raises(error, match=words):
        await read(egress, upstream)


@pytest.mark.parametrize("layers", [1, 2, 3])
async def test_bombs_are_not_unpacked(upstream: Upstream, egress: Egress, layers: int) -> None:
    """A page that grows beyond its limit in any of its codings is refused, with a few hundred KiB in memory."""
    body = bytes(300 * MIB)
    for _ in range(layers):
        body = gzip.compress(body, compresslevel=9)
    coding = ", ".join(["gzip"] * layers)
    upstream.fault(SPAM, body=body, content_type=JSON, headers={"Content-Encoding": coding}, status=200)
    tracemalloc.start()
    with pytest.raises(UpstreamMalformed, match=r"larger than 1 MiB \(KOSCHEY_MAX_PAGE_MIB\)"):
        await read(egress, upstream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


async def test_marks_and_charsets(upstream: Upstream, egress: Egress) -> None:
    """A byte order mark before JSON, and the charset that a header names for HTML, are understood."""
    file, body = publish(upstream)
    upstream.fault(SPAM, body=codecs.BOM_UTF8 + body, content_type=JSON, status=200, times=1)
    assert [found.filename for found in (await read(egress, upstream)).files] == [file.filename]
    html = f'<a href="{file.url}" data-yanked="отозван">x</a>'.encode("cp1251")
    upstream.fault(SPAM, body=html, content_type="text/html; charset=windows-1251", status=200)
    assert [found.yanked for found in (await read(egress, upstream)).files] == ["отозван"]


async def test_query_of_a_link_is_kept_for_fetching(upstream: Upstream, egress: Egress) -> None:
    """The filename is the path's last segment, the digest any part of the fragment, and the whole query is sent."""
    file, _ = publish(upstream)
    href = f"{file.path}?token=a%2Fb&sig=%3D#egg=w-spam&sha256={file.sha256}"
    upstream.fault(SPAM, body=f'<a href="{href}">{file.filename}</a>'.encode(), content_type="text/html", status=200)
    [found] = (await read(egress, upstream)).files
    assert (found.filename, found.sha256, found.version) == (file.filename, file.sha256, "1.0")
    assert found.url == f"{file.url}?token=a%2Fb&sig=%3D"
    async with client(egress, upstream).fetch_file(found.url) as download:
        assert b"".join([chunk async for chunk in download.chunks]) == file.content


async def test_page_behind_redirects(upstream: Upstream, egress: Egress) -> None:
    """Ten redirects lead to the page, and its relative links are relative to where it was found."""
    file, _ = publish(upstream)
    body = f'<a href="../f/{file.filename}">x</a>'.encode()
    for hop in range(10):
        upstream.fault(
            f"/simple/{SPAM}/" if hop == 0 else f"/r/{hop}", redirect=f"/r/{hop + 1}" if hop < 9 else "/d/e/"
        )
    upstream.fault("/d/e/", body=body, content_type="text/html", status=200)
    assert [found.url for found in (await read(egress, upstream)).files] == [f"{upstream.root}/d/f/{file.filename}"]


async def test_forbidden_is_an_error_unless_the_operator_says_otherwise(upstream: Upstream, egress: Egress) -> None:
    """A 403 is no absence: only under the switch does it say that there is no such project."""
    upstream.fault(SPAM, status=403, body=b"AccessDenied", content_type="application/xml")
    with pytest.raises(UpstreamMalformed, match="403"):
        await read(egress, upstream)
    with pytest.raises(UpstreamMissing, match="403"):
        await read(egress, upstream, forbidden_is_missing=True)


async def test_page_that_trickles_is_given_up(
    upstream: Upstream, egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page must arrive as a whole within its time, however steadily its bytes come."""
    monkeypatch.setattr(clients, "PAGE_TIMEOUT", 0.5)
    upstream.fault(SPAM, body=b"<!-- -->\n" * 1000, content_type="text/html", status=200, bytes_per_second=200)
    began = time.monotonic()
    with pytest.raises(UpstreamUnavailable, match=r"took longer than 0\.5 seconds"):
        await read(egress, upstream)
    assert time.monotonic() - began < 10
    assert clients.PAGE_TIMEOUT + 5 <= 30


@pytest.mark.parametrize("document", ["fetch_metadata", "fetch_record", "fetch_provenance"])
async def test_documents_that_trickle_are_given_up(
    upstream: Upstream, egress: Egress, monkeypatch: pytest.MonkeyPatch, document: str
) -> None:
    """So must every other document."""
    monkeypatch.setattr(clients, "DOCUMENT_TIMEOUT", 0.5)
    upstream.fault("/slow", body=b"x" * 5000, bytes_per_second=200)
    with pytest.raises(UpstreamUnavailable, match=r"took longer than 0\.5 seconds"):
        await getattr(client(egress, upstream), document)(f"{upstream.root}/slow")


async def test_page_that_was_read_otherwise_is_read_again(upstream: Upstream, egress: Egress) -> None:
    """The ETag of a page that another version of Koschey read asks for the whole page once more."""
    publish(upstream)
    page = await read(egress, upstream)
    assert page.etag is not None
    reader = client(egress, upstream)
    assert await reader.fetch_page(SPAM, page.etag) is None
    assert await reader.fetch_page(SPAM, page.etag.removeprefix(clients.READING)) is not None
    assert "If-None-Match" not in upstream.requests[-1].headers
