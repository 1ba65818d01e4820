"""The HTTP client of the developer commands: one request, one complete answer, under the egress rules."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from koschey.conformance.client import HttpAnswer
from koschey.errors import UpstreamMalformed
from koschey.settings.private_hosts import NO_HOSTS
from koschey.upstream.egress import Egress, read_chunks

MAX_BODY = 100 * 2**20
"""Maximum size of an answer, in bytes."""


@asynccontextmanager
async def open_egress(url: str) -> AsyncIterator[Egress]:
    """Open connections that may also lead to the host of `url`.

    The user names the index on the command line, and it may be in the user's own network.
    """
    egress = Egress(NO_HOSTS.with_urls([url]))
    try:
        yield egress
    finally:
        await egress.close()


class HttpClient:
    """Sends only the headers that its caller names. Implements `koschey.conformance.client.Client`."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def send(self, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> HttpAnswer:
        """Send one request, and follow no redirect. An underscore in a header's name means a hyphen.

        Raises `UpstreamError` or `EgressRefused` if there is no answer.
        """
        async with self._egress.send(method, url, _names(headers), body) as response:
            content = await self._read(response)
            return HttpAnswer(url, response.status, response.headers, content)

    async def fetch(self, url: str, **headers: str) -> HttpAnswer:
        """GET a URL as an installer does, following redirects. Raises what `ask` raises."""
        headers.setdefault("Accept_Encoding", "identity")
        async with self._egress.get(url, _names(headers)) as response:
            content = await self._read(response)
            return HttpAnswer(str(response.url), response.status, response.headers, content)

    @staticmethod
    async def _read(response: Any) -> bytes:
        body = bytearray()
        async for chunk in read_chunks(response):
            body += chunk
            if len(body) > MAX_BODY:
                raise UpstreamMalformed(f"{response.url} is larger than {MAX_BODY // 2**20} MiB")
        return bytes(body)


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
