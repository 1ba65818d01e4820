"""A client as simple as can be: one request, one complete answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from koschey.errors import UpstreamMalformed
from koschey.upstream.egress import Egress, read_chunks

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT_HTML = "text/html"
MAX_BODY = 100 * 2**20
"""Bytes of the largest answer that is read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    url: str
    """Where it came from; after redirects, if they were followed."""
    status: int
    headers: Mapping[str, str]
    """Case does not matter."""
    body: bytes

    @property
    def content_type(self) -> str:
        """The header as it stands, with its parameters."""
        return self.headers.get("Content-Type", "")

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def json(self) -> Any:
        """The body as JSON. Raises `UpstreamMalformed` where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamMalformed(f"{self.url} is no JSON: {error}") from None


class Client:
    """Asks under the egress rules, and sends no header that a check did not ask for."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def ask(self, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        """Send one request and follow no redirect. Underscores in header names stand for hyphens.

        Raises `UpstreamError` or `EgressRefused` where no answer comes.
        """
        async with self._egress.send(method, url, _names(headers), body) as response:
            content = await self._read(response)
            return Answer(url, response.status, response.headers, content)

    async def fetch(self, url: str, **headers: str) -> Answer:
        """GET a URL as an installer does, following redirects. Raises as `ask` does."""
        headers.setdefault("Accept_Encoding", "identity")
        async with self._egress.get(url, _names(headers)) as response:
            content = await self._read(response)
            return Answer(str(response.url), response.status, response.headers, content)

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
