"""The bucket: what its errors mean, that what comes back is what was stored, and that what was stored is there."""

import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
import pytest_asyncio

from koschey.errors import ObjectAltered, ObjectMissing, StoreRefused, StoreUnavailable
from koschey.model import Sha256
from koschey.settings import Settings
from koschey.storage.blobs import HELD_BACK, ensure_blob, is_whole, read_blob, stream_blob
from koschey.storage.s3 import Bucket, OpenBucket, blob_key
from tests.support.archives import noise
from tests.support.bucket import BucketProxy

LARGE = noise("large", 300_000)


@pytest.fixture(scope="module")
def shared_proxy(s3: Mapping[str, str]) -> Iterator[BucketProxy]:
    """A door in front of the server, for this module."""
    with BucketProxy(s3["s3_endpoint"], s3["s3_bucket"]) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: BucketProxy) -> Iterator[BucketProxy]:
    """The door, behaving well."""
    shared_proxy.clear_faults()
    shared_proxy.forget_requests()
    yield shared_proxy
    shared_proxy.clear_faults()


def settings(s3: Mapping[str, str], proxy: BucketProxy, **changes: object) -> Settings:
    """The settings of a process that reaches the bucket through the door."""
    given = {**s3, "s3_endpoint": proxy.url, "database_url": "postgresql://localhost/none"} | changes
    return Settings.model_validate(given)


@pytest_asyncio.fixture
async def bucket(s3: Mapping[str, str], proxy: BucketProxy) -> AsyncIterator[Bucket]:
    """The bucket, through the door."""
    async with OpenBucket(settings(s3, proxy)) as opened:
        yield opened


async def stored(bucket: Bucket, content: bytes) -> Sha256:
    """Store a blob under its digest."""
    digest = Sha256(hashlib.sha256(content).hexdigest())
    await bucket.put(blob_key(digest), content)
    return digest


async def read_all(chunks: AsyncIterator[bytes]) -> bytes:
    """All that a stream yields."""
    return b"".join([chunk async for chunk in chunks])


async def kept(chunks: AsyncIterator[bytes], received: list[bytes]) -> AsyncIterator[bytes]:
    """Pass chunks on, and keep what came before an error."""
    async for chunk in chunks:
        received.append(chunk)
        yield chunk


# What errors mean


async def test_absent_object_is_missing_and_no_outage(bucket: Bucket) -> None:
    """An object that is not there is told apart from a bucket that does not answer."""
    with pytest.raises(ObjectMissing):
        await bucket.get("blobs/none")
    with pytest.raises(ObjectMissing):
        await read_all(bucket.stream("blobs/none", 0, 10, 10))
    assert await bucket.size_of("blobs/none") is None


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AccessDenied", StoreRefused),
        (403, "SignatureDoesNotMatch", StoreRefused),
        (404, "NoSuchBucket", StoreRefused),
        (400, "AuthorizationHeaderMalformed", StoreRefused),
        (404, "NoSuchKey", ObjectMissing),
        (416, "InvalidRange", ObjectAltered),
        (400, "RequestTimeout", StoreUnavailable),
        (429, "TooManyRequests", StoreUnavailable),
        (503, "SlowDown", StoreUnavailable),
        (500, "InternalError", StoreUnavailable),
    ],
)
async def test_each_code_of_s3_means_one_thing(
    bucket: Bucket, proxy: BucketProxy, status: int, code: str, error: type[StoreUnavailable]
) -> None:
    """A client error of S3 is a missing object, an altered one or a refusal; what passes by itself is an outage."""
    proxy.fault("thing", status=status, code=code)
    with pytest.raises(StoreUnavailable) as found:
        await read_all(bucket.stream("thing", 0, 10, 10))
    assert type(found.value) is error
    with pytest.raises(StoreUnavailable) as found:
        await bucket.get("thing")
    assert type(found.value) is error


@pytest.mark.parametrize("changes", [{"s3_secret_key": "wrong"}, {"s3_access_key": "wrong"}, {"s3_bucket": "other"}])
async def test_wrong_settings_are_said_to_be_wrong(
    s3: Mapping[str, str], proxy: BucketProxy, changes: Mapping[str, str]
) -> None:
    """Wrong credentials and a bucket that does not exist are refusals that name the settings."""
    async with OpenBucket(settings(s3, proxy, **changes)) as opened:
        with pytest.raises(StoreRefused, match="KOSCHEY_S3_"):
            await opened.get("blobs/none")


async def test_silent_server_is_an_outage(s3: Mapping[str, str], proxy: BucketProxy) -> None:
    """A server that is not there does not answer; nothing is said about the object."""
    async with OpenBucket(settings(s3, proxy, s3_endpoint="http://127.0.0.1:9")) as opened:
        for question in (opened.get("a"), opened.size_of("a"), opened.put("a", b"")):
            with pytest.raises(StoreUnavailable) as found:
                await question
            assert type(found.value) is StoreUnavailable


async def test_body_that_breaks_off_is_an_outage(bucket: Bucket, proxy: BucketProxy) -> None:
    """A connection that ends before the object does says nothing against the object."""
    digest = await stored(bucket, LARGE)
    proxy.fault(blob_key(digest), method="GET", truncate_at=100_000)
    with pytest.raises(StoreUnavailable) as found:
        await read_all(stream_blob(bucket, digest, len(LARGE)))
    assert type(found.value) is StoreUnavailable


# What comes back is what was stored


@pytest.mark.parametrize("size", [0, 1, HELD_BACK - 1, HELD_BACK, HELD_BACK + 1, 300_000])
async def test_blobs_of_every_size_come_back(bucket: Bucket, size: int) -> None:
    """Blobs, the empty one among them, are read whole, in parts, and as small objects."""
    content = noise("sizes", 300_000)[:size]
    digest = await stored(bucket, content)
    assert await read_all(stream_blob(bucket, digest, size)) == content
    assert await read_blob(bucket, digest) == content
    assert await is_whole(bucket, digest, size)
    for start, stop in ((0, size // 2), (size // 2, size), (size, size)):
        assert await read_all(bucket.stream(blob_key(digest), start, stop, size)) == content[start:stop]


@pytest.mark.parametrize("offset", [0, 150_000, 299_999])
async def test_rotten_blob_is_never_read_to_its_end(bucket: Bucket, proxy: BucketProxy, offset: int) -> None:
    """One bit that changed in the bucket keeps the last 64 KiB from whoever reads the blob."""
    digest = await stored(bucket, LARGE)
    proxy.fault(blob_key(digest), method="GET", flip_at=offset)
    received: list[bytes] = []
    with pytest.raises(ObjectAltered):
        await read_all(kept(stream_blob(bucket, digest, len(LARGE)), received))
    assert len(b"".join(received)) == len(LARGE) - HELD_BACK
    with pytest.raises(ObjectAltered):
        await read_blob(bucket, digest)
    assert not await is_whole(bucket, digest, len(LARGE))


@pytest.mark.parametrize("change", [b"", LARGE[:-1], LARGE + b"x"])
async def test_blob_of_another_size_is_altered(bucket: Bucket, change: bytes) -> None:
    """An object that grew or shrank is noticed before its first byte, in a part of it too."""
    digest = await stored(bucket, LARGE)
    await bucket.put(blob_key(digest), change)
    for start, stop in ((0, len(LARGE)), (0, 10), (len(LARGE) - 10, len(LARGE))):
        with pytest.raises(ObjectAltered):
            await read_all(bucket.stream(blob_key(digest), start, stop, len(LARGE)))


# What was stored is there


async def test_put_that_is_not_kept_is_noticed(bucket: Bucket, proxy: BucketProxy) -> None:
    """A bucket that acknowledges a small object and drops it, or keeps other bytes, has not stored it."""
    proxy.fault("lost", method="PUT", acknowledge=True)
    with pytest.raises(StoreUnavailable, match="did not keep"):
        await bucket.put("lost", b"content")
    proxy.fault("other", method="GET", flip_at=0)
    with pytest.raises(StoreUnavailable, match="did not keep"):
        await bucket.put("other", b"content")


async def test_lost_and_rotten_blobs_are_written_again(bucket: Bucket, proxy: BucketProxy) -> None:
    """A blob that is whole is left alone; a lost or rotten one is written again from the bytes at hand."""
    digest = await stored(bucket, LARGE)

    async def at_hand() -> AsyncIterator[bytes]:
        yield LARGE[:100_000]
        yield LARGE[100_000:]

    proxy.forget_requests()
    assert not await ensure_blob(bucket, digest, len(LARGE), at_hand)
    assert proxy.count("PUT", "*") == 0
    await bucket.put(blob_key(digest), os.urandom(len(LARGE)))
    assert await ensure_blob(bucket, digest, len(LARGE), at_hand)
    await bucket.client.delete_object(Bucket=bucket.name, Key=blob_key(digest))
    assert await ensure_blob(bucket, digest, len(LARGE), at_hand)
    assert await read_blob(bucket, digest) == LARGE


async def test_blob_is_not_written_from_other_bytes(bucket: Bucket) -> None:
    """Bytes with another digest are never put in the place of a lost blob."""
    digest = Sha256(hashlib.sha256(b"never stored").hexdigest())

    async def others() -> AsyncIterator[bytes]:
        yield b"other bytes!"

    with pytest.raises(StoreUnavailable, match="nothing was written"):
        await ensure_blob(bucket, digest, 12, others)
    assert await bucket.size_of(blob_key(digest)) is None
