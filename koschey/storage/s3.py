"""The bucket. Blobs are immutable and named by their SHA-256; this module does not know what they contain.

`blobs/sha256/ab/cd/<sha256>` and `manifests/<sha256>.json`. A blob appears whole or not at all: a small one by
one PUT, a large one by a multipart upload that is completed only after the caller has verified all bytes.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aioboto3
import structlog
from botocore.config import Config

from koschey.errors import ObjectAltered, ObjectMissing, StoreUnavailable
from koschey.model import Sha256
from koschey.settings import Settings
from koschey.storage.direct import DirectRequests, direct_requests
from koschey.storage.faults import translated
from koschey.storage.lines import Lines

log = structlog.get_logger()

PART_SIZE = 8 * 2**20
"""Bytes in each part of a multipart upload; S3 requires at least 5 MiB."""
CHUNK = 256 * 2**10
"""Bytes read at a time."""
PARTS_AT_ONCE = 2
"""Parts in transfer at once. An upload needs the memory of this many parts and one more."""
STREAMS = 100
"""Maximum number of objects that a process streams at once."""
CONNECTIONS = STREAMS + 50
"""Maximum number of connections of a process. Those beyond `STREAMS` serve requests that no client can slow down."""
READ_BACK = (0.0, 0.1, 0.5)
"""Seconds before each check of a small object that was put: another process may put the same object at this moment, and
servers that keep a bucket in a folder write it in place."""
CONTENT_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")


def blob_key(digest: Sha256) -> str:
    """Return the key of the blob with this digest."""
    return f"blobs/sha256/{digest[:2]}/{digest[2:4]}/{digest}"


def manifest_key(digest: Sha256) -> str:
    """Return the key of the manifest beside a blob."""
    return f"manifests/{digest}.json"


def provenance_key(digest: Sha256) -> str:
    """Return the key of the provenance object (PEP 740) beside a blob."""
    return f"manifests/{digest}.provenance"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, over an S3 client that is open.

    Every method raises `StoreUnavailable` if the bucket does not answer, and `StoreRefused` if it refuses.
    """

    client: Any
    name: str
    lines: Lines = field(default_factory=lambda: Lines(STREAMS))
    direct: DirectRequests | None = None
    """Sends what is frequent and small; None if only the client sends requests."""

    async def ensure(self) -> None:
        """Create the bucket if it does not exist."""
        try:
            with translated(self.name):
                await self.client.head_bucket(Bucket=self.name)
        except ObjectMissing:
            with translated(self.name):
                await self.client.create_bucket(Bucket=self.name)

    async def check(self) -> bool:
        """Return True once the bucket has answered."""
        with translated(self.name):
            await self.client.head_bucket(Bucket=self.name)
        return True

    async def size_of(self, key: str) -> int | None:
        """Return the size of an object in bytes, or None if it does not exist."""
        try:
            with translated(key):
                if self.direct and (size := await self.direct.size_of(key)) is not None:
                    return size
                head = await self.client.head_object(Bucket=self.name, Key=key)
        except ObjectMissing:
            return None
        return int(head["ContentLength"])

    async def put(self, key: str, body: bytes) -> None:
        """Store a small object and read it back: a bucket may acknowledge what it does not keep.

        Raises `StoreUnavailable` if the bucket has other bytes, or none.
        """
        digest = hashlib.sha256(body).hexdigest()
        with translated(key):
            if not (self.direct and await self.direct.put(key, body, digest)):
                await self.client.put_object(Bucket=self.name, Key=key, Body=body)
        fault = StoreUnavailable(f"the bucket acknowledged {key} and did not keep it")
        for pause in READ_BACK:
            await asyncio.sleep(pause)
            try:
                if await self.get(key) == body:
                    return
            except ObjectMissing:
                pass
            except StoreUnavailable as error:
                # Also if another client is writing the same object, and the server writes in place.
                fault = error
        raise fault

    async def get(self, key: str) -> bytes:
        """Return a small object. Raises `ObjectMissing`."""
        with translated(key):
            if self.direct and (body := await self.direct.get(key)) is not None:
                return body
            answer = await self.client.get_object(Bucket=self.name, Key=key)
            async with answer["Body"] as response:
                return bytes(await response.read())

    async def keys_below(self, prefix: str) -> list[str]:
        """Return the keys of all objects that begin with a prefix, in their order."""
        found: list[str] = []
        with translated(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            async for page in pages:
                found += [str(each["Key"]) for each in page.get("Contents", ())]
        return sorted(found)

    async def sign_url(self, key: str, seconds: int) -> str:
        """Return a URL from which every client can download an object for so many seconds."""
        # The type is that of files of this index: clients would decode a guessed encoding.
        given = {"Bucket": self.name, "Key": key, "ResponseContentType": "application/octet-stream"}
        url: str = await self.client.generate_presigned_url("get_object", Params=given, ExpiresIn=seconds)
        return url

    async def stream(self, key: str, start: int, stop: int, size: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to, but not including, `stop` of an object that has `size` bytes.

        A slow consumer loses its connection to other streams that wait. Raises `ObjectMissing`, and `ObjectAltered` if
        the object has another size.
        """
        # An empty object is read without a request: no range of it exists (RFC 9110, 14.1.2).
        while start < stop:
            async with self.lines.acquire() as line, self._reading(key, start, stop, size) as response:
                line.close = response.close
                chunks = response.content.iter_chunked(CHUNK)
                while not line.is_lost:
                    with translated(key):
                        chunk = await anext(chunks, b"")
                    if not chunk:
                        break
                    start += len(chunk)
                    with line.idle():
                        yield chunk
                if start < stop and not line.is_lost:
                    raise StoreUnavailable(f"the bucket broke off in {key}, {stop - start} bytes before the end")

    @asynccontextmanager
    async def _reading(self, key: str, start: int, stop: int, size: int) -> AsyncIterator[Any]:
        """Open a range of an object; the bucket must state the size and the range that we expect."""
        with translated(key):
            answer = await self.client.get_object(Bucket=self.name, Key=key, Range=f"bytes={start}-{stop - 1}")
        async with answer["Body"] as response:
            stated = CONTENT_RANGE.fullmatch(answer.get("ContentRange") or "")
            if stated is None and (start, stop) != (0, size):
                raise StoreUnavailable(f"the bucket does not serve ranges; {key} cannot be read from byte {start}")
            whole = int(stated[1]) if stated else int(answer["ContentLength"])
            if whole != size:
                raise ObjectAltered(f"the object {key} in the bucket has {whole} bytes; {size} were stored")
            yield response

    @asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator["BlobWriter"]:
        """Write a blob of any size. It exists only after `BlobWriter.commit`."""
        writer = BlobWriter(self, key)
        try:
            yield writer
        finally:
            await writer.abandon()


class BlobWriter:
    """Collects bytes into parts, and sends them while more arrive."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._client = bucket.client
        self._direct = bucket.direct
        self._where = {"Bucket": bucket.name, "Key": key}
        self._chunks: list[bytes] = []
        self._size = 0
        self._upload_id: str | None = None
        self._parts: list[asyncio.Task[dict[str, Any]]] = []

    async def write(self, chunks: Sequence[bytes]) -> None:
        """Accept more bytes. Waits while too many parts are in transfer."""
        self._chunks += chunks
        self._size += sum(map(len, chunks))
        if self._size >= PART_SIZE:
            with translated(self._where["Key"]):
                await self._send_part()

    async def commit(self, digest: Sha256) -> None:
        """Create the blob. Call it only after all bytes are verified; `digest` is their SHA-256."""
        with translated(self._where["Key"]):
            if self._upload_id is None:
                await self._put(b"".join(self._chunks), digest)
                return
            if self._chunks:
                await self._send_part()
            parts = await asyncio.gather(*self._parts)
            await self._client.complete_multipart_upload(
                **self._where, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
            )
            self._upload_id = None

    async def abandon(self) -> None:
        """Delete the parts of a blob that was not committed, if the bucket answers."""
        for part in self._parts:
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        if self._upload_id is None:
            return
        try:
            with translated(self._where["Key"]):
                await self._client.abort_multipart_upload(**self._where, UploadId=self._upload_id)
        except StoreUnavailable as error:
            # The caller must receive the reason why the blob was not committed.
            log.warning("parts of an upload stay in the bucket", key=self._where["Key"], error=str(error))

    async def _put(self, body: bytes, digest: Sha256) -> None:
        if not (self._direct and await self._direct.put(self._where["Key"], body, digest)):
            await self._client.put_object(**self._where, Body=body)

    async def _send_part(self) -> None:
        if self._upload_id is None:
            self._upload_id = (await self._client.create_multipart_upload(**self._where))["UploadId"]
        if len(self._parts) >= PARTS_AT_ONCE:
            await self._parts[-PARTS_AT_ONCE]
        chunks, self._chunks, self._size = self._chunks, [], 0
        self._parts.append(asyncio.create_task(self._upload_part(len(self._parts) + 1, chunks)))

    async def _upload_part(self, number: int, chunks: Sequence[bytes]) -> dict[str, Any]:
        body, digest = await asyncio.to_thread(_join, chunks)
        assert self._upload_id is not None
        etag = None
        if self._direct:
            etag = await self._direct.put_part(self._where["Key"], self._upload_id, number, body, digest)
        if etag is None:
            where = self._where | {"UploadId": self._upload_id}
            etag = (await self._client.upload_part(**where, PartNumber=number, Body=body))["ETag"]
        return {"PartNumber": number, "ETag": etag}


def _join(chunks: Sequence[bytes]) -> tuple[bytes, str]:
    """Return the chunks as one, with the SHA-256."""
    body = b"".join(chunks)
    return body, hashlib.sha256(body).hexdigest()


class OpenBucket:
    """Opens the bucket that the settings name: `async with OpenBucket(settings) as bucket`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Bucket:
        settings = self._settings
        secret = settings.s3_secret_key
        with translated(settings.s3_bucket):
            client = await self._stack.enter_async_context(
                aioboto3.Session().client(
                    "s3",
                    endpoint_url=str(settings.s3_endpoint).rstrip("/") if settings.s3_endpoint else None,
                    region_name=settings.s3_region,
                    aws_access_key_id=settings.s3_access_key,
                    aws_secret_access_key=secret.get_secret_value() if secret else None,
                    config=_config(own_server=settings.s3_endpoint is not None),
                )
            )
        return Bucket(client, settings.s3_bucket, direct=await direct_requests(client, settings.s3_bucket))

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()


def _config(*, own_server: bool) -> Config:
    return Config(
        connect_timeout=3,
        read_timeout=30,
        max_pool_connections=CONNECTIONS,
        retries={"max_attempts": 2, "mode": "standard"},
        # botocore would sign URLs by an older version, which few servers still accept.
        signature_version="s3v4",
        s3={"addressing_style": "path" if own_server else "auto"},
        # Servers other than AWS's may not support the newer checksum trailers; Koschey hashes all bytes itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
