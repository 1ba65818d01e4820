"""Reads blobs from the bucket and compares their bytes with the digest in their name."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from koschey.errors import Damaged, ObjectAltered, StoreUnavailable
from koschey.model import Sha256
from koschey.storage.s3 import Bucket, blob_key

HELD_BACK = 64 * 2**10
"""Number of bytes at the end of a file that no client receives before the whole file is verified."""


async def read_blob(bucket: Bucket, digest: Sha256) -> bytes:
    """Return the bytes of a small blob. Raises `ObjectMissing`, or `ObjectAltered` if they have another digest."""
    body = await bucket.get(blob_key(digest))
    if hashlib.sha256(body).hexdigest() != digest:
        raise ObjectAltered(f"the object {blob_key(digest)} in the bucket has other bytes than its name says")
    return body


async def stream_blob(bucket: Bucket, digest: Sha256, size: int) -> AsyncGenerator[bytes]:
    """Yield the bytes of a blob; the last `HELD_BACK` only after the digest is verified. Raises as `read_blob`."""
    hasher, left, tail = hashlib.sha256(), size - HELD_BACK, bytearray()
    async with aclosing(bucket.stream(blob_key(digest), 0, size, size)) as chunks:
        async for chunk in chunks:
            hasher.update(chunk)
            if left > 0:
                yield chunk[:left]
            tail += chunk[max(left, 0) :]
            left -= len(chunk)
    if hasher.hexdigest() != digest:
        raise ObjectAltered(f"the object {blob_key(digest)} in the bucket has other bytes than its name says")
    if tail:
        yield bytes(tail)


async def is_whole(bucket: Bucket, digest: Sha256, size: int) -> bool:
    """Return whether the bucket has exactly these bytes. Reads all of them."""
    try:
        async with aclosing(stream_blob(bucket, digest, size)) as chunks:
            async for _ in chunks:
                pass
    except Damaged:
        return False
    # An empty blob is read without a request.
    return await bucket.size_of(blob_key(digest)) == size


async def ensure_blob(bucket: Bucket, digest: Sha256, size: int, read: Callable[[], AsyncIterator[bytes]]) -> bool:
    """Write a blob again if the bucket has lost or altered it; returns whether it was written.

    `read` yields the blob's bytes. Raises `StoreUnavailable` if they have another digest, or if the bucket does not
    keep them.
    """
    if await is_whole(bucket, digest, size):
        return False
    hasher = hashlib.sha256()
    async with bucket.writer(blob_key(digest)) as writer:
        async for chunk in read():
            hasher.update(chunk)
            await writer.write([chunk])
        if hasher.hexdigest() != digest:
            raise StoreUnavailable(f"the given bytes do not match {blob_key(digest)}; nothing was written")
        await writer.commit(digest)
    if await bucket.size_of(blob_key(digest)) != size:
        raise StoreUnavailable(f"the bucket acknowledged {blob_key(digest)} and did not keep it")
    return True
