"""The bucket. Blobs are immutable and named by their sha256; nothing here knows what they mean.

`blobs/sha256/ab/cd/<sha256>` and `manifests/<sha256>.json`. A blob appears whole or not at all: small ones by one
PUT, large ones by a multipart upload that is completed only after the caller has verified all bytes.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aioboto3
from aiohttp import ClientError
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.exceptions import ClientError as S3Error

from koschey.model import Sha256
from koschey.settings import Settings

PART_SIZE = 8 * 2**20
"""Bytes per part of a multipart upload; S3 wants at least 5 MiB."""
CHUNK = 256 * 2**10
"""Bytes read at a time."""
PARTS_AT_ONCE = 2
"""Parts under way: bounds the memory of one upload to this many parts and one more."""

UNAVAILABLE = (BotoCoreError, ClientError, S3Error, OSError)
"""What the S3 client raises while the bucket cannot be used."""


def blob_key(digest: Sha256) -> str:
    """Return the key of the bytes with this digest."""
    return f"blobs/sha256/{digest[:2]}/{digest[2:4]}/{digest}"


def manifest_key(digest: Sha256) -> str:
    """Return the key of the manifest beside them."""
    return f"manifests/{digest}.json"


def provenance_key(digest: Sha256) -> str:
    """Return the key of the provenance object (PEP 740) beside them."""
    return f"manifests/{digest}.provenance"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, over an S3 client that is open."""

    client: Any
    name: str

    async def ensure(self) -> None:
        """Create the bucket where it does not exist."""
        try:
            await self.client.head_bucket(Bucket=self.name)
        except S3Error:
            await self.client.create_bucket(Bucket=self.name)

    async def size_of(self, key: str) -> int | None:
        """Return the size of an object in bytes, or None where there is none."""
        try:
            head = await self.client.head_object(Bucket=self.name, Key=key)
        except S3Error as error:
            if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
                return None
            raise
        return int(head["ContentLength"])

    async def put(self, key: str, body: bytes) -> None:
        """Store a small object."""
        await self.client.put_object(Bucket=self.name, Key=key, Body=body)

    async def get(self, key: str) -> bytes:
        """Return a small object."""
        answer = await self.client.get_object(Bucket=self.name, Key=key)
        async with answer["Body"] as response:
            return bytes(await response.read())

    async def stream(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to, but not including, `stop`."""
        answer = await self.client.get_object(Bucket=self.name, Key=key, Range=f"bytes={start}-{stop - 1}")
        async with answer["Body"] as response:
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk

    @asynccontextmanager
    async def writer(self, key: str) -> AsyncIterator["BlobWriter"]:
        """Write a blob of any size; it exists only if `BlobWriter.commit` was called."""
        writer = BlobWriter(self.client, self.name, key)
        try:
            yield writer
        finally:
            await writer.abandon()


class BlobWriter:
    """Collects bytes into parts and sends them while more arrive."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client = client
        self._where = {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[asyncio.Task[dict[str, Any]]] = []

    async def write(self, chunk: bytes) -> None:
        """Take more bytes; waits while too many parts are under way."""
        self._buffer += chunk
        if len(self._buffer) >= PART_SIZE:
            await self._send_part()

    async def commit(self) -> None:
        """Make the blob exist. Call it only when the bytes are verified."""
        if self._upload_id is None:
            await self._client.put_object(**self._where, Body=bytes(self._buffer))
            return
        if self._buffer:
            await self._send_part()
        parts = await asyncio.gather(*self._parts)
        await self._client.complete_multipart_upload(
            **self._where, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
        )
        self._upload_id = None

    async def abandon(self) -> None:
        """Leave nothing behind of a blob that was not committed."""
        for part in self._parts:
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        if self._upload_id is not None:
            await self._client.abort_multipart_upload(**self._where, UploadId=self._upload_id)

    async def _send_part(self) -> None:
        if self._upload_id is None:
            self._upload_id = (await self._client.create_multipart_upload(**self._where))["UploadId"]
        if len(self._parts) >= PARTS_AT_ONCE:
            await self._parts[-PARTS_AT_ONCE]
        body, self._buffer = bytes(self._buffer), bytearray()
        self._parts.append(asyncio.create_task(self._upload_part(len(self._parts) + 1, body)))

    async def _upload_part(self, number: int, body: bytes) -> dict[str, Any]:
        sent = await self._client.upload_part(**self._where, UploadId=self._upload_id, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": sent["ETag"]}


class OpenBucket:
    """Opens the bucket that the settings name: `async with OpenBucket(settings) as bucket`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Bucket:
        settings = self._settings
        secret = settings.s3_secret_key
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
        return Bucket(client, settings.s3_bucket)

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()


def _config(*, own_server: bool) -> Config:
    return Config(
        connect_timeout=3,
        read_timeout=30,
        max_pool_connections=100,
        retries={"max_attempts": 2, "mode": "standard"},
        s3={"addressing_style": "path" if own_server else "auto"},
        # Servers other than AWS's need not know the newer checksum trailers; Koschey hashes all bytes itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
