"""Requests to an upstream index: project pages, files, and the core metadata and provenance beside them."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
import msgspec
from packaging.utils import NormalizedName

from koschey.errors import RangesUnsupported, UpstreamMalformed, UpstreamMissing, UpstreamUnavailable
from koschey.model import Origin, UpstreamPage
from koschey.standards import simple_html, simple_json
from koschey.upstream.codings import ACCEPTED, decode
from koschey.upstream.egress import Egress, read_chunks
from koschey.upstream.turns import Turn, Turns

ACCEPT_PAGE = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
HTML_TYPES = ("text/html", "application/vnd.pypi.simple.v1+html")
JSON_TYPES = ("application/vnd.pypi.simple.v1+json", "application/json")
ACCEPT_PROVENANCE = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5"
MAX_METADATA = 10 * 2**20
MAX_RANGE = 20 * 2**20
CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
MAX_PROVENANCE = 2 * 2**20
"""Maximum size in bytes. An attestation has about five thousand, and an object has a few attestations."""
MAX_RECORD = 2**20
PAGE_TIMEOUT = 25.0
"""Seconds in which a whole page must arrive. Less than the 30 s after which clients give up."""
DOCUMENT_TIMEOUT = 20.0
"""Seconds in which a whole document beside a file must arrive, because clients may be waiting for it."""
RANGE_TIMEOUT = 60.0
"""Seconds in which a part of a file must arrive."""
LEAST_BYTES, LEAST_SECONDS = 256 * 2**10, 60.0
"""Minimum rate of a download: so many bytes in so many seconds of waiting, 4 KiB a second for a file of any size."""
READING = "2:"
"""Prefix of stored ETags: how the page was read. A new number makes Koschey read unchanged pages once more."""
PARSE_IN_THREAD = 512 * 2**10
"""Size in bytes above which a page is parsed in a thread, so that other requests continue."""


@dataclass(frozen=True, slots=True)
class UpstreamDownload:
    """A download in progress."""

    url: str
    """The URL of the file after all redirects."""
    size: int | None
    """In bytes, as the server announces it; None if it does not."""
    codings: tuple[str, ...]
    """What `Content-Encoding` says of `chunks` (RFC 9110, 8.4), which are raw all the same: many servers label archives
    by their names."""
    limit: int
    """Maximum size of a file, in bytes."""
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Range:
    """Part of a file."""

    start: int
    body: bytes
    size: int
    """Size of the whole file, in bytes."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The record of a file's origin that another Koschey serves (PEP 710)."""

    record: bytes | None
    hosted: bool
    """Whether there is no record because the file was uploaded there."""


class UpstreamClient:
    """Reads one upstream, under the egress rules."""

    def __init__(
        self,
        egress: Egress,
        url: str,
        *,
        max_page: int,
        max_file: int,
        forbidden_is_missing: bool = False,
        pages: Egress | None = None,
    ) -> None:
        """Read `url` through `egress`, and its pages through `pages`, so that files keep no page from coming."""
        self._egress = egress
        self._pages = pages or egress
        self._turns = Turns()
        self._forbidden_is_missing = forbidden_is_missing
        self._url = url
        self._max_page = max_page
        self._max_file = max_file

    async def fetch_page(self, project: NormalizedName, etag: str | None) -> UpstreamPage | None:
        """Return a project's page, or None if the page still has this ETag.

        Raises `UpstreamMissing` if the upstream has no such project, `UpstreamUnavailable` if the whole page does not
        arrive in time, `UpstreamMalformed` if the answer is not an index page, and `Busy` if too many requests for
        pages are waiting.
        """
        url, known = f"{self._url}{quote(project)}/", _read_before(etag)
        headers = {"Accept": ACCEPT_PAGE, "Accept-Encoding": ACCEPTED, **({"If-None-Match": known} if known else {})}
        async with (
            self._turns.acquire(url) as turn,
            _deadline(url, PAGE_TIMEOUT),
            self._pages.get(url, headers, raw=True) as response,
        ):
            turn.hear()
            if response.status == 304 and known:
                return None
            if response.status == 403 and self._forbidden_is_missing:
                raise UpstreamMissing(f"the upstream has no {url}; it answered 403")
            _check_status(response, url)
            body = await decode(
                _heard(response, turn),
                response.headers.getall("Content-Encoding", []),
                self._max_page,
                str(response.url),
                " (KOSCHEY_MAX_PAGE_MIB)",
            )
        return await self._parse(response, body, project)

    async def fetch_metadata(self, file_url: str) -> bytes:
        """Return the core metadata that the upstream serves beside a file (PEP 658), unverified."""
        url = beside(file_url, ".metadata")
        async with (
            _deadline(url, DOCUMENT_TIMEOUT),
            self._egress.get(url, {"Accept-Encoding": "gzip"}) as response,
        ):
            _check_status(response, url)
            return await _read(response, MAX_METADATA)

    async def fetch_provenance(self, url: str) -> bytes:
        """Return the provenance object that the upstream lists for a file (PEP 740), byte for byte."""
        async with (
            _deadline(url, DOCUMENT_TIMEOUT),
            self._egress.get(url, {"Accept": ACCEPT_PROVENANCE}) as response,
        ):
            _check_status(response, url)
            return await _read(response, MAX_PROVENANCE)

    async def fetch_range(self, file_url: str, span: str) -> Range:
        """Return a piece of a file; `span` is `first-last` or `-length`, as in a `Range` header.

        Raises `RangesUnsupported` if the server sends the whole file.
        """
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={span}"}
        async with (
            _deadline(file_url, RANGE_TIMEOUT),
            self._egress.get(file_url, headers, raw=True) as response,
        ):
            if response.status == 200:
                raise RangesUnsupported(f"{file_url} is not served in ranges")
            if response.status != 206:
                _check_status(response, file_url)
            stated = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if stated is None:
                raise UpstreamMalformed(f"{file_url} sends a range without a valid Content-Range")
            start, stop, size = int(stated[1]), int(stated[2]) + 1, int(stated[3])
            body = await _read(response, MAX_RANGE)
            if len(body) != stop - start or stop > size:
                raise UpstreamMalformed(f"{file_url} sends {len(body)} bytes as bytes {start}-{stop - 1} of {size}")
            return Range(start, body, size)

    async def fetch_record(self, file_url: str) -> Recorded:
        """Return the record that a Koschey serves beside a file (PEP 710), or the reason why it has none."""
        url = beside(file_url, ".provenance_url.json")
        async with (
            _deadline(url, DOCUMENT_TIMEOUT),
            self._egress.get(url, {"Accept": "application/json"}) as response,
        ):
            body = await _read(response, MAX_RECORD)
            if response.status == 404:
                return Recorded(None, hosted=_origin(body) == Origin.HOSTED)
            _check_status(response, url)
            return Recorded(body, hosted=False)

    @asynccontextmanager
    async def fetch_file(self, url: str) -> AsyncIterator[UpstreamDownload]:
        """Open the download of a file. Errors of the upstream can also occur while its chunks are read."""
        # Without `identity` a server may compress the archive on its way.
        async with self._egress.get(url, {"Accept-Encoding": "identity"}, raw=True) as response:
            _check_status(response, url)
            size = response.content_length
            if size is not None and size > self._max_file:
                raise UpstreamMalformed(f"{url} has {size} bytes; KOSCHEY_MAX_FILE_MIB allows {self._max_file}")
            chunks = _limited(response, self._max_file)
            yield UpstreamDownload(str(response.url), size, _codings(response), self._max_file, chunks)

    async def _parse(self, response: aiohttp.ClientResponse, body: bytes, project: NormalizedName) -> UpstreamPage:
        kind = response.content_type.lower()
        url, etag = str(response.url), response.headers.get("ETag")
        mark, charset = f"{READING}{etag}" if etag else None, response.charset
        if kind in JSON_TYPES:
            parse = simple_json.parse_project
        elif kind in HTML_TYPES:
            parse = simple_html.parse_project
        else:
            raise UpstreamMalformed(f"{url} answered with {kind}, which is not an index page; check KOSCHEY_UPSTREAM")
        if len(body) > PARSE_IN_THREAD:
            return await asyncio.to_thread(parse, body, url, project, mark, charset)
        return parse(body, url, project, mark, charset)


def _read_before(mark: str | None) -> str | None:
    """Return the ETag of a page if it was read by the present rules."""
    return mark.removeprefix(READING) if mark and mark.startswith(READING) else None


def _check_status(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status in (404, 410):
        raise UpstreamMissing(f"the upstream has no {url}")
    if response.status >= 500 or response.status == 429:
        raise UpstreamUnavailable(f"{url} answered {response.status}")
    if response.status != 200:
        raise UpstreamMalformed(f"{url} answered {response.status}")


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return a body that the client has decoded."""
    return await decode(read_chunks(response), (), limit, str(response.url))


async def _heard(response: aiohttp.ClientResponse, turn: Turn) -> AsyncIterator[bytes]:
    """Yield a body as it arrives, and report its progress to the turn."""
    async for chunk in read_chunks(response):
        turn.hear()
        yield chunk


async def _limited(response: aiohttp.ClientResponse, limit: int) -> AsyncIterator[bytes]:
    """Yield a file as it arrives, at the minimum rate or faster, and up to `limit` bytes."""
    chunks, count, waited, fresh = read_chunks(response), 0, 0.0, 0
    while True:
        begun = time.monotonic()
        chunk = await anext(chunks, None)
        # Count only the time of waiting for the upstream: the caller may need long for a chunk.
        waited += time.monotonic() - begun
        if chunk is None:
            return
        count, fresh = count + len(chunk), fresh + len(chunk)
        if count > limit:
            raise UpstreamMalformed(f"{response.url} is longer than {limit} bytes (KOSCHEY_MAX_FILE_MIB)")
        if waited >= LEAST_SECONDS:
            if fresh < LEAST_BYTES:
                raise UpstreamUnavailable(f"{response.url} sent only {fresh} bytes in {waited:.0f} seconds")
            waited, fresh = 0.0, 0
        yield chunk


def _codings(response: aiohttp.ClientResponse) -> tuple[str, ...]:
    """Return the content codings that an answer names, in lower case, without `identity` and empty ones."""
    named = ",".join(response.headers.getall("Content-Encoding", [])).lower().split(",")
    return tuple(coding.strip() for coding in named if coding.strip() not in ("", "identity"))


@asynccontextmanager
async def _deadline(url: str, seconds: float) -> AsyncIterator[None]:
    """Bound the time in which a whole document must arrive. Raises `UpstreamUnavailable`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise UpstreamUnavailable(f"{url} took longer than {seconds:g} seconds") from None


def beside(file_url: str, suffix: str) -> str:
    """Return the URL of a document beside a file: PEP 658 and 710 append to the path, and a query may follow it."""
    parts = urlsplit(file_url)
    return urlunsplit(parts._replace(path=parts.path + suffix))


class _Problem(msgspec.Struct):
    origin: str = ""


def _origin(body: bytes) -> str:
    """Return the origin that a refusal (RFC 9457) names, or an empty string."""
    try:
        return msgspec.json.decode(body, type=_Problem).origin
    except (msgspec.DecodeError, UnicodeError):
        return ""
