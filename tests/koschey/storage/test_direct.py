"""Requests that are sent without the S3 client's machinery: they are signed as its own, and only success counts."""

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from koschey.errors import ObjectMissing, StoreRefused
from koschey.settings import Settings
from koschey.storage.direct import NOTHING, DirectRequests
from koschey.storage.s3 import PART_SIZE, Bucket, OpenBucket, blob_key
from tests.support.archives import noise
from tests.support.bucket import BucketProxy


@pytest.fixture
def proxy(s3: Mapping[str, str]) -> Iterator[BucketProxy]:
    """A door in front of the server."""
    with BucketProxy(s3["s3_endpoint"], s3["s3_bucket"]) as running:
        yield running


def settings(s3: Mapping[str, str], proxy: BucketProxy, **changes: object) -> Settings:
    """The settings of a process that reaches the bucket through the door."""
    given = {**s3, "s3_endpoint": proxy.url, "database_url": "postgresql://localhost/none"} | changes
    return Settings.model_validate(given)


@pytest_asyncio.fixture
async def bucket(s3: Mapping[str, str], proxy: BucketProxy) -> AsyncIterator[Bucket]:
    """The bucket, through the door."""
    async with OpenBucket(settings(s3, proxy)) as opened:
        yield opened


def sha256(body: bytes) -> str:
    """The digest of a body."""
    return hashlib.sha256(body).hexdigest()


class Session:
    """Notes the request that would be sent."""

    request: Any = None

    async def send(self, request: Any) -> Any:
        """Answer that there is nothing."""
        self.request = request
        return SimpleNamespace(status_code=404)


@pytest.mark.parametrize("token", [None, "a-token/of+a=role"])
@pytest.mark.parametrize("base", ["http://127.0.0.1:7070/koschey/", "https://koschey.s3.eu-central-1.example.org/"])
@pytest.mark.parametrize("key", ["blobs/sha256/ab/cd/abcd", "a b+c~d/ü", "part"])
async def test_signature_is_that_of_the_s3_client(token: str | None, base: str, key: str) -> None:
    """The client's own signer computes the same signature over the same request."""
    credentials, session, body = ReadOnlyCredentials("AKID", "secret", token), Session(), b"spam"

    async def frozen() -> ReadOnlyCredentials:
        return credentials

    sender = DirectRequests(session, SimpleNamespace(get_frozen_credentials=frozen), "eu-central-1", base)
    if key == "part":
        await sender.put_part(key, "an/upload+id=", 3, body, sha256(body))
    else:
        await sender.put(key, body, sha256(body))
    sent = session.request
    theirs = AWSRequest(sent.method, sent.url, data=body)
    theirs.context["timestamp"] = sent.headers["X-Amz-Date"]
    theirs.headers["X-Amz-Date"] = sent.headers["X-Amz-Date"]
    theirs.headers["X-Amz-Content-SHA256"] = sha256(body)
    if token:
        theirs.headers["X-Amz-Security-Token"] = token
    signer = S3SigV4Auth(credentials, "s3", "eu-central-1")
    text = signer.string_to_sign(theirs, signer.canonical_request(theirs))
    assert sent.headers["Authorization"].endswith(f"Signature={signer.signature(text, theirs)}")


async def test_what_was_put_comes_back(bucket: Bucket) -> None:
    """A real server accepts each kind of request."""
    assert bucket.direct is not None
    body = noise("direct", 5000)
    assert await bucket.direct.put("manifests/direct", body, sha256(body))
    assert await bucket.direct.get("manifests/direct") == body
    assert await bucket.direct.size_of("manifests/direct") == len(body)


async def test_blob_of_several_parts(bucket: Bucket, proxy: BucketProxy) -> None:
    """Parts are sent without the S3 client, and become one blob; no request is sent twice."""
    body = noise("parts", 2 * PART_SIZE + 5)
    key = blob_key(sha256(body))  # type: ignore[arg-type]
    async with bucket.writer(key) as writer:
        for start in range(0, len(body), 2**20):
            await writer.write([body[start : start + 2**20]])
        await writer.commit(sha256(body))  # type: ignore[arg-type]
    assert [request.method for request in proxy.requests if request.key == key] == ["POST", "PUT", "PUT", "PUT", "POST"]
    assert await bucket.get(key) == body


async def test_absent_object(bucket: Bucket) -> None:
    """404 is no answer, and the S3 client says what it means; further requests are sent as before."""
    assert bucket.direct is not None
    assert await bucket.direct.get("manifests/absent") is None
    with pytest.raises(ObjectMissing):
        await bucket.get("manifests/absent")
    assert await bucket.size_of("manifests/absent") is None
    await bucket.put("manifests/present", b"spam")
    assert await bucket.direct.size_of("manifests/present") == 4


async def test_passing_error_is_repeated_by_the_client(bucket: Bucket, proxy: BucketProxy) -> None:
    """One error of the server, or one broken connection, is not an outage."""
    fault = proxy.fault("manifests/passing", method="PUT", status=503, code="SlowDown", times=1)
    await bucket.put("manifests/passing", b"spam")
    assert fault.applied == 1
    fault = proxy.fault("manifests/passing", method="GET", truncate_at=2, times=1)
    assert await bucket.get("manifests/passing") == b"spam"
    assert fault.applied == 1


async def test_refused_credentials(s3: Mapping[str, str], proxy: BucketProxy) -> None:
    """A server that refuses a signature is asked by the S3 client alone from then on, whose error says why."""
    async with OpenBucket(settings(s3, proxy, s3_secret_key="wrong")) as bucket:
        with pytest.raises(StoreRefused):
            await bucket.put("manifests/refused", b"spam")
        assert bucket.direct is not None
        before = len(proxy.requests)
        assert not await bucket.direct.put("manifests/refused", b"spam", sha256(b"spam"))
        assert len(proxy.requests) == before


def test_digest_of_an_empty_body() -> None:
    """Requests without a body are signed with the digest of nothing."""
    assert sha256(b"") == NOTHING
