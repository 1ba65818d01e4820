"""The objects of an upload: put from a file on our disk with few parts in memory, verified, and deleted again.

A part is read when its turn to be sent has come. The turns are those of a whole process, so that its memory does not
grow with the number of its uploads.
"""

import asyncio
import hashlib
import io
import os
from contextlib import suppress
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import structlog

from koschey.errors import StoreUnavailable
from koschey.model import Sha256
from koschey.storage.faults import translated
from koschey.storage.s3 import PART_SIZE, Bucket, blob_key

log = structlog.get_logger()

PARTS_IN_MEMORY = 4
"""Parts of 8 MiB that one process reads and sends at a time, of all uploads together."""
PARTS_OF_ONE = 2
"""Parts of one upload among them, so that a small file does not wait for a large one."""


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """A file on our disk, read by position."""

    descriptor: int
    size: int
    sha256: Sha256
    """The digest of the bytes at their arrival."""


class FilePart(io.RawIOBase):
    """A part of a file in memory of its own, which goes back to the system with the part.

    The S3 client reads from it piece by piece. It would copy `bytes` as a whole, and the C library often keeps memory
    that it allocated in such pieces: 20 uploads at once left a process 60 MB larger.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._memory = mmap(-1, max(1, size))
        self._size = size
        self._at = 0

    def fill(self, descriptor: int, start: int, hasher: "hashlib._Hash") -> None:
        """Read the part from the offset `start` of a file, and hash it."""
        with memoryview(self._memory)[: self._size] as memory:
            filled = os.preadv(descriptor, [memory], start) if self._size else 0
            hasher.update(memory[:filled])

    def readable(self) -> bool:
        """Return True: the S3 client checks this."""
        return True

    def seekable(self) -> bool:
        """Return True: the S3 client reads once for its signature, and again if it retries."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read from the current position into `buffer`. Returns the number of bytes."""
        end = min(self._at + len(buffer), self._size)
        count = end - self._at
        buffer[:count] = self._memory[self._at : end]
        self._at = end
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def close(self) -> None:
        """Return the memory to the system."""
        self._memory.close()
        super().close()


@dataclass(frozen=True, slots=True)
class UploadStore:
    """Puts and deletes objects. One per process."""

    bucket: Bucket
    turns: asyncio.Semaphore
    """`PARTS_IN_MEMORY` turns, shared by all uploads of the process."""

    async def put_file(self, file: SpooledFile) -> None:
        """Put a file under its digest.

        It is hashed again, because what is on our disk now will be served. Raises `StoreUnavailable` if its digest has
        changed, or if the bucket does not keep it; then no object exists.
        """
        key, hasher = blob_key(file.sha256), hashlib.sha256()
        if file.size <= PART_SIZE:
            async with self.turns:
                with await asyncio.to_thread(_read, file, 0, hasher) as part:
                    _check(hasher, file)
                    with translated(key):
                        await self.bucket.client.put_object(Bucket=self.bucket.name, Key=key, Body=part)
        else:
            await self._put_parts(key, file, hasher)
        await self._require(key, file.size)

    async def put(self, key: str, body: bytes) -> None:
        """Put a small object. Raises `StoreUnavailable` if the bucket does not keep it."""
        await self.bucket.put(key, body)

    async def delete_file(self, sha256: Sha256) -> None:
        """Delete a file, and the parts that an upload under its digest has left. A missing object is not an error."""
        key = blob_key(sha256)
        await self.delete(key)
        for upload in await self._begun(key):
            with translated(key):
                await self.bucket.client.abort_multipart_upload(Bucket=self.bucket.name, Key=key, UploadId=upload)

    async def _begun(self, key: str) -> list[str]:
        """Return the ids of multipart uploads under a key; nothing if the server cannot list them."""
        try:
            with translated(key):
                listed = await self.bucket.client.list_multipart_uploads(Bucket=self.bucket.name, Prefix=key)
        except StoreUnavailable as error:
            # rclone answers NoSuchUpload if there are none; others may lack the operation, or the permission for it.
            log.debug("multipart uploads cannot be listed", key=key, error=str(error))
            return []
        return [begun["UploadId"] for begun in listed.get("Uploads", ())]

    async def delete(self, key: str) -> None:
        """Delete a small object. A missing one is not an error."""
        with translated(key):
            await self.bucket.client.delete_object(Bucket=self.bucket.name, Key=key)

    async def _require(self, key: str, size: int) -> None:
        found = await self.bucket.size_of(key)
        if found != size:
            raise StoreUnavailable(f"the bucket did not keep {key}: it has {found} bytes instead of {size}")

    async def _put_parts(self, key: str, file: SpooledFile, hasher: "hashlib._Hash") -> None:
        client, where = self.bucket.client, {"Bucket": self.bucket.name, "Key": key}
        with translated(key):
            where["UploadId"] = (await client.create_multipart_upload(**where))["UploadId"]
        try:
            parts = await self._send_parts(where, file, hasher)
            _check(hasher, file)
            with translated(key):
                await client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        except BaseException:
            # The first error counts.
            with suppress(StoreUnavailable), translated(key):
                await client.abort_multipart_upload(**where)
            raise

    async def _send_parts(
        self, where: dict[str, str], file: SpooledFile, hasher: "hashlib._Hash"
    ) -> list[dict[str, Any]]:
        sent: list[asyncio.Task[dict[str, Any]]] = []
        try:
            for number, start in enumerate(range(0, file.size, PART_SIZE), 1):
                if len(sent) >= PARTS_OF_ONE:
                    await sent[-PARTS_OF_ONE]
                sent.append(await self._begin_part(where, number, file, start, hasher))
            return list(await asyncio.gather(*sent))
        finally:
            for task in sent:
                task.cancel()
            await asyncio.gather(*sent, return_exceptions=True)

    async def _begin_part(
        self, where: dict[str, str], number: int, file: SpooledFile, start: int, hasher: "hashlib._Hash"
    ) -> asyncio.Task[dict[str, Any]]:
        """Wait for a turn, read the part, and begin to send it; the turn ends with the task."""
        await self.turns.acquire()
        try:
            part = await asyncio.to_thread(_read, file, start, hasher)
            task = asyncio.create_task(self._send(where, number, part))
        except BaseException:
            self.turns.release()
            raise
        task.add_done_callback(lambda _: self.turns.release())
        return task

    async def _send(self, where: dict[str, str], number: int, part: FilePart) -> dict[str, Any]:
        with part, translated(where["Key"]):
            answer = await self.bucket.client.upload_part(**where, PartNumber=number, Body=part)
        return {"PartNumber": number, "ETag": answer["ETag"]}


def _read(file: SpooledFile, start: int, hasher: "hashlib._Hash") -> FilePart:
    """Read and hash the next part. Parts are read one after another, in their order."""
    part = FilePart(min(PART_SIZE, file.size - start))
    part.fill(file.descriptor, start, hasher)
    return part


def _check(hasher: "hashlib._Hash", file: SpooledFile) -> None:
    if hasher.hexdigest() != file.sha256:
        raise StoreUnavailable("the upload changed on Koschey's disk before it was stored; upload it again")
