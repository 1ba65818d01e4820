"""The file of an upload in progress: hashed and written to disk as it arrives, without a name."""

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

from koschey.errors import Refused, StoreUnavailable

BATCH = 2**17
"""Bytes hashed and written at a time, in a thread."""


class Spool:
    """A temporary file without a name, so that it is gone when it is closed, even if this process is killed."""

    def __init__(self, folder: Path | None, max_size: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `close`
        self._max_size = max_size
        self._batch = bytearray()
        self._hashers: dict[str, hashlib._Hash | hashlib.blake2b] = {
            "md5_digest": hashlib.md5(usedforsecurity=False),
            "sha256_digest": hashlib.sha256(),
            "blake2_256_digest": hashlib.blake2b(digest_size=32),
        }
        self.size = 0

    @property
    def descriptor(self) -> int:
        """The descriptor from which the bytes can be read by position."""
        return self._file.fileno()

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the bytes that were flushed so far, by the names of their form fields."""
        return {name: hasher.hexdigest() for name, hasher in self._hashers.items()}

    async def write(self, chunk: bytes) -> None:
        """Add bytes. Raises `Refused` if the file is too large, and `StoreUnavailable` as `flush` does."""
        self.size += len(chunk)
        if self.size > self._max_size:
            raise Refused(
                f"File too large. Limit of this index is {self._max_size / 2**20:g} MiB; an admin can raise "
                "KOSCHEY_MAX_FILE_MIB.",
                status=413,
            )
        self._batch += chunk
        if len(self._batch) >= BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Hash and write the bytes added so far. Raises `StoreUnavailable` if the disk refuses them."""
        batch, self._batch = self._batch, bytearray()
        try:
            await asyncio.to_thread(self._work, batch)
        except OSError as error:
            raise StoreUnavailable(f"the spool folder cannot store the upload now: {error.strerror}") from error

    def close(self) -> None:
        """Delete the file."""
        self._file.close()

    def _work(self, batch: bytearray) -> None:
        for hasher in self._hashers.values():
            hasher.update(batch)
        rest = memoryview(batch)
        while rest:
            rest = rest[os.write(self._file.fileno(), rest) :]
