"""Reads the advisory feed from a URL, a file or a folder: all of it if it has changed, otherwise nothing."""

import asyncio
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import aiohttp

from koschey.errors import UpstreamMalformed, UpstreamUnavailable
from koschey.model import Advisory
from koschey.upstream.advisory_documents import MAX_FEED, read_feed
from koschey.upstream.egress import Egress, read_chunks

TIMEOUT = 600.0
"""Seconds in which the whole feed must arrive."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The contents of a feed."""

    advisories: tuple[Advisory, ...]
    etag: str | None
    """Identifies this state of the feed; equal tags mean that nothing has changed."""


@dataclass(frozen=True, slots=True)
class AdvisoryFeed:
    """The feed that `KOSCHEY_ADVISORIES` names: a URL, a file or a folder."""

    egress: Egress
    source: str
    spool: Path | None

    async def read(self, etag: str | None) -> Reading | None:
        """Return the contents of the feed, or None if it still has this tag.

        Raises `UpstreamUnavailable` or `EgressRefused` if the feed cannot be read, and `UpstreamMalformed` if its
        contents cannot be trusted.
        """
        if self.source.startswith(("http://", "https://")):
            return await self._download(etag)
        path = Path(self.source)
        tag = await asyncio.to_thread(_tag_of, path)
        if tag == etag:
            return None
        return Reading(tuple(await asyncio.to_thread(read_feed, path)), tag)

    async def _download(self, etag: str | None) -> Reading | None:
        headers = {"Accept-Encoding": "identity", **({"If-None-Match": etag} if etag else {})}
        try:
            async with asyncio.timeout(TIMEOUT), self.egress.get(self.source, headers) as response:
                if response.status == 304 and etag:
                    return None
                if response.status != 200:
                    raise UpstreamUnavailable(f"{self.source} answered {response.status}")
                with tempfile.NamedTemporaryFile(dir=self.spool) as file:
                    await self._save(response, file)
                    advisories = await asyncio.to_thread(read_feed, Path(file.name))
        except TimeoutError:
            raise UpstreamUnavailable(f"{self.source} took longer than {TIMEOUT:g} seconds") from None
        return Reading(tuple(advisories), response.headers.get("ETag"))

    async def _save(self, response: aiohttp.ClientResponse, file: IO[bytes]) -> None:
        count = 0
        async for chunk in read_chunks(response):
            count += len(chunk)
            if count > MAX_FEED:
                raise UpstreamMalformed(f"{self.source} is longer than {MAX_FEED} bytes")
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.flush)


def _tag_of(path: Path) -> str:
    """Return a tag that changes when a file, or any file below a folder, changes."""
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        states = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    except OSError as error:
        raise UpstreamUnavailable(f"the advisory feed cannot be read: {error}") from None
    return hashlib.sha256(repr(states).encode()).hexdigest()
