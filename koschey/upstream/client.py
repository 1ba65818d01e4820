"""What Koschey asks of an upstream: a project's page, a file's bytes, a wheel's core metadata."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
from packaging.utils import NormalizedName

from koschey.errors import UpstreamMalformed, UpstreamMissing, UpstreamUnavailable
from koschey.model import UpstreamPage
from koschey.standards import simple_html, simple_json
from koschey.upstream.egress import Egress, read_chunks

ACCEPT_PAGE = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
HTML_TYPES = ("text/html", "application/vnd.pypi.simple.v1+html")
JSON_TYPES = ("application/vnd.pypi.simple.v1+json", "application/json")
MAX_METADATA = 10 * 2**20
PARSE_IN_THREAD = 512 * 2**10
"""Bytes above which a page is parsed in a thread, so that other requests go on."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file's bytes on their way."""

    url: str
    """Where they come from in the end, after redirects."""
    size: int | None
    chunks: AsyncIterator[bytes]


class UpstreamClient:
    """Reads one upstream through the egress rules."""

    def __init__(self, egress: Egress, url: str, *, max_page: int, max_file: int) -> None:
        self._egress = egress
        self._url = url
        self._max_page = max_page
        self._max_file = max_file

    async def fetch_page(self, project: NormalizedName, etag: str | None) -> UpstreamPage | None:
        """Return a project's page, or None where it still is the one with that ETag.

        Raises `UpstreamMissing` where the upstream has no such project, `UpstreamUnavailable` where it does not answer
        now, and `UpstreamMalformed` where the answer is no index page.
        """
        url = f"{self._url}{quote(project)}/"
        headers = {"Accept": ACCEPT_PAGE, **({"If-None-Match": etag} if etag else {})}
        async with self._egress.get(url, headers) as response:
            if response.status == 304 and etag:
                return None
            _check_status(response, url)
            body = await _read(response, self._max_page)
            return await self._parse(response, body, project)

    async def fetch_metadata(self, file_url: str) -> bytes:
        """Return what the upstream serves as core metadata beside a file (PEP 658)."""
        url = f"{file_url}.metadata"
        async with self._egress.get(url, {"Accept-Encoding": "gzip"}) as response:
            _check_status(response, url)
            return await _read(response, MAX_METADATA)

    @asynccontextmanager
    async def fetch_file(self, url: str) -> AsyncIterator[Download]:
        """Open the download of a file; errors of the upstream may also come while its chunks are read."""
        # Without `identity` a server may compress the archive on its way, and its hash would not match.
        async with self._egress.get(url, {"Accept-Encoding": "identity"}) as response:
            _check_status(response, url)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise UpstreamMalformed(f"{url} sends the file in a content encoding")
            size = response.content_length
            if size is not None and size > self._max_file:
                raise UpstreamMalformed(f"{url} has {size} bytes; KOSCHEY_MAX_FILE_MIB allows {self._max_file}")
            yield Download(str(response.url), size, _limited(response, self._max_file))

    async def _parse(self, response: aiohttp.ClientResponse, body: bytes, project: NormalizedName) -> UpstreamPage:
        kind = response.content_type.lower()
        url, etag = str(response.url), response.headers.get("ETag")
        if kind in JSON_TYPES:
            parse = simple_json.parse_project
        elif kind in HTML_TYPES:
            parse = simple_html.parse_project
        else:
            raise UpstreamMalformed(f"{url} answered with {kind}, which is no index page; check KOSCHEY_UPSTREAM")
        if len(body) > PARSE_IN_THREAD:
            return await asyncio.to_thread(parse, body, url, project, etag)
        return parse(body, url, project, etag)


def _check_status(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status in (404, 410):
        raise UpstreamMissing(f"the upstream has no {url}")
    if response.status >= 500 or response.status == 429:
        raise UpstreamUnavailable(f"{url} answered {response.status}")
    if response.status != 200:
        raise UpstreamMalformed(f"{url} answered {response.status}")


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in read_chunks(response):
        body += chunk
        if len(body) > limit:
            raise UpstreamMalformed(f"{response.url} is larger than {limit // 2**20} MiB (KOSCHEY_MAX_PAGE_MIB)")
    return bytes(body)


async def _limited(response: aiohttp.ClientResponse, limit: int) -> AsyncIterator[bytes]:
    count = 0
    async for chunk in read_chunks(response):
        count += len(chunk)
        if count > limit:
            raise UpstreamMalformed(f"{response.url} is longer than {limit} bytes (KOSCHEY_MAX_FILE_MIB)")
        yield chunk
