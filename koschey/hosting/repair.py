"""Repairs a hosted file whose objects the bucket has lost or altered, when the same file is uploaded again."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable

from koschey.db.damage import mark_metadata_repaired, mark_repaired
from koschey.db.pool import Pool
from koschey.errors import Damaged
from koschey.inspection.sandbox.inspector import Inspector
from koschey.model import File, Origin
from koschey.storage.blobs import ensure_blob, read_blob
from koschey.storage.manifests import write_manifest
from koschey.storage.s3 import CHUNK, Bucket, blob_key


async def repair(pool: Pool, bucket: Bucket, inspector: Inspector, file: File, descriptor: int) -> None:
    """Compare the objects of a file with the bytes that were uploaded again, and write those that are wrong.

    `descriptor` is open on exactly the file's bytes. Raises `StoreUnavailable` if the bucket does not keep them.
    """
    assert file.sha256 is not None
    assert file.size is not None
    written = await ensure_blob(bucket, file.sha256, file.size, _reader(descriptor, file.size))
    if written or file.damage is not None:
        await write_manifest(bucket, file, Origin.HOSTED, None)
        async with pool.acquire() as connection:
            await mark_repaired(connection, file)
    await _repair_metadata(pool, bucket, inspector, file, descriptor)


async def _repair_metadata(pool: Pool, bucket: Bucket, inspector: Inspector, file: File, descriptor: int) -> None:
    digest = file.core_metadata or file.pkg_info
    if digest is None:
        return
    try:
        await read_blob(bucket, digest)
    except Damaged:
        metadata = (await inspector.inspect(descriptor, file.filename)).metadata
        if hashlib.sha256(metadata).hexdigest() != digest:
            # An older Koschey read it in another way; the metadata that was served beside the file must not change.
            return
        await bucket.put(blob_key(digest), metadata)
    if file.metadata_damage is not None:
        async with pool.acquire() as connection:
            await mark_metadata_repaired(connection, file)


def _reader(descriptor: int, size: int) -> Callable[[], AsyncIterator[bytes]]:
    async def read() -> AsyncIterator[bytes]:
        for start in range(0, size, CHUNK):
            yield await asyncio.to_thread(os.pread, descriptor, CHUNK, start)

    return read
