"""The file of an upload on its way: hashed and written to the disk as it arrives, under no name."""

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

from koschey.errors import Refused, StoreUnavailable

BATCH = 2**17
"""Bytes hashed and written at a time, in a thread."""


class Spool:
    """A file in flight: without a name, so that it is gone when it is closed, whatever happens to us."""

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
        """Where the bytes can be read, by position."""
        return self._file.fileno()

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the bytes so far, by the names that the form has for them."""
        return {name: hasher.hexdigest() for name, hasher in self._hashers.items()}

    async def write(self, chunk: bytes) -> None:
        """Take more bytes."""
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
        """Hash and write what was taken."""
        batch, self._batch = self._batch, bytearray()
        try:
            await asyncio.to_thread(self._work, batch)
        except OSError as error:
            raise StoreUnavailable(f"there is no room for the upload now: {error.strerror}") from error

    def close(self) -> None:
        """Drop the file."""
        self._file.close()

    def _work(self, batch: bytearray) -> None:
        for hasher in self._hashers.values():
            hasher.update(batch)
        rest = memoryview(batch)
        while rest:
            rest = rest[os.write(self._file.fileno(), rest) :]
