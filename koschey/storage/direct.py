"""Sends the most frequent requests to the bucket without the S3 client's machinery: small objects, parts, and HEAD.

The S3 client needs more than a millisecond of processor time to build a request and to parse its answer, and it hashes
each body again, on the event loop. Here a request is signed by botocore (AWS Signature Version 4) with a digest that is
known, and sent over the client's own connections. Only a plain success is an answer: after anything else the caller
repeats the request with the S3 client, which knows redirects, retries and errors.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ConnectTimeoutError, ReadTimeoutError

PLACEHOLDER = "koschey"
REFUSALS = frozenset({301, 307, 400, 403})
NOTHING = hashlib.sha256(b"").hexdigest()


class Request(NamedTuple):
    """A request as the S3 client's HTTP session takes it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None = None
    stream_output: bool = False


@dataclass(slots=True)
class DirectRequests:
    """Signs and sends requests about one bucket."""

    session: Any
    """The HTTP session of the S3 client."""
    credentials: Any
    """aiobotocore's credentials, which renew themselves."""
    region: str
    base: str
    """The URL of the bucket, as the S3 client builds it, with a slash at the end."""
    _is_refused: bool = False

    async def put(self, key: str, body: bytes, sha256: str) -> bool:
        """Put an object, whose SHA-256 the server compares. Returns whether the server acknowledged it."""
        return await self._send("PUT", key, body, sha256) is not None

    async def put_part(self, key: str, upload: str, number: int, body: bytes, sha256: str) -> str | None:
        """Put a part of a multipart upload. Returns its ETag; None if the S3 client must put it."""
        query = f"partNumber={number}&uploadId={quote(upload, safe='')}"
        answer = await self._send("PUT", key, body, sha256, query)
        return None if answer is None else answer.headers.get("etag")

    async def get(self, key: str) -> bytes | None:
        """Return an object; None if the S3 client must request it."""
        answer = await self._send("GET", key)
        return None if answer is None else bytes(await answer.content)

    async def size_of(self, key: str) -> int | None:
        """Return the size of an object in bytes; None if the S3 client must request it."""
        answer = await self._send("HEAD", key)
        stated = "" if answer is None else str(answer.headers.get("content-length", ""))
        return int(stated) if stated.isascii() and stated.isdigit() else None

    async def _send(
        self, method: str, key: str, body: bytes | None = None, sha256: str = NOTHING, query: str = ""
    ) -> Any:
        """Send a request. Returns the answer if it is 200, else None. Raises a `BotoCoreError` after a timeout."""
        if self._is_refused:
            return None
        credentials = await self.credentials.get_frozen_credentials()
        url = self.base + quote(key) + (f"?{query}" if query else "")
        headers = self._sign(method, url, sha256, credentials)
        if body is not None:
            headers["Content-Length"] = str(len(body))
        try:
            answer = await self.session.send(Request(method, url, headers, body))
        except (ConnectTimeoutError, ReadTimeoutError):
            raise
        except BotoCoreError:
            return None
        # A request that is signed wrongly for this server, or sent to a wrong place, is so each time.
        self._is_refused = self._is_refused or answer.status_code in REFUSALS
        return answer if answer.status_code == 200 else None

    def _sign(self, method: str, url: str, sha256: str, credentials: Any) -> dict[str, str]:
        """Return the headers that authenticate a request with a body of this digest."""
        request = AWSRequest(method=method, url=url)
        request.context["sha256"] = sha256
        KnownDigest(credentials, "s3", self.region).add_auth(request)
        return dict(request.headers.items())


class KnownDigest(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs with a digest of the body that is known."""

    def payload(self, request: AWSRequest) -> str:
        """Return the digest in place of computing it."""
        return str(request.context["sha256"])


async def direct_requests(client: Any, bucket: str) -> DirectRequests | None:
    """Return what sends requests about a bucket over the connections of an open S3 client.

    Returns None if the client has no credentials, or if another version of it keeps them elsewhere.
    """
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    credentials = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    if session is None or credentials is None:
        return None
    given = {"Bucket": bucket, "Key": PLACEHOLDER}
    url = await client.generate_presigned_url("get_object", Params=given, ExpiresIn=60)
    base = url.partition("?")[0].removesuffix(PLACEHOLDER)
    return DirectRequests(session, credentials, client.meta.region_name, base)
