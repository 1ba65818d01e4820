"""The client that the checks use: one request, one complete answer. The caller of `examine` provides it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from koschey.errors import UpstreamMalformed

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT_HTML = "text/html"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer to a request."""

    url: str
    """The URL of the answer, after any redirects that were followed."""
    status: int
    headers: Mapping[str, str]
    """Names are case-insensitive."""
    body: bytes

    @property
    def content_type(self) -> str:
        """The header as it was sent, with its parameters."""
        return self.headers.get("Content-Type", "")

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def json(self) -> Any:
        """The body as JSON. Raises `UpstreamMalformed` if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UpstreamMalformed(f"{self.url} is not JSON: {error}") from None


class Client(Protocol):
    """Sends only the headers that a check names. Underscores in header names stand for hyphens."""

    async def send(self, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> HttpAnswer:
        """Send one request and follow no redirect.

        Raises `UpstreamError` or `EgressRefused` if no answer comes.
        """

    async def fetch(self, url: str, **headers: str) -> HttpAnswer:
        """GET a URL as an installer does, following redirects. Raises as `ask` does."""
