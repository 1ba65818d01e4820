"""Core metadata beside a wheel (PEP 658): stored under its own digest, fetched from the upstream once."""

import hashlib

from koschey.db.files import update_metadata_stored
from koschey.db.pool import Pool
from koschey.errors import UpstreamMalformed
from koschey.model import File
from koschey.storage.blobs import read_blob
from koschey.storage.s3 import Bucket, blob_key
from koschey.upstream.client import UpstreamClient


async def read_metadata(pool: Pool, bucket: Bucket, upstream: UpstreamClient, file: File) -> bytes | None:
    """Return the bytes whose digest the page gives, or None where the page gives none.

    Raises `UpstreamError` where the upstream does not serve them, or serves others.
    """
    if file.core_metadata is None:
        return None
    if file.metadata_stored:
        return await read_blob(bucket, file.core_metadata)
    assert file.upstream_url is not None
    body = await upstream.fetch_metadata(file.upstream_url)
    if hashlib.sha256(body).hexdigest() != file.core_metadata:
        raise UpstreamMalformed(f"the upstream's core metadata of {file.filename} does not match its page's sha256")
    await bucket.put(blob_key(file.core_metadata), body)
    await update_metadata_stored(pool, file.id)
    return body
