"""The shelf: copies of blobs on the local disk beside the web processes of a host, each under the digest of its bytes.

It is a cache. All processes of a host share it, its size is bounded, and it can be deleted at any time: the bucket is
the only store that counts. A copy appears only after its digest has been verified. What stands here says nothing about
what may be served: only the verdict does.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import structlog
from cachetools import LRUCache

from koschey.model import Sha256

log = structlog.get_logger()

MIB = 2**20
SMALL = 64 * 2**10
"""Maximum size of a blob that is also kept in memory."""
SMALL_BLOBS = 64 * MIB
"""Maximum memory for small blobs in one process, in bytes."""
USED = 5.0
"""Seconds after which another use of a copy is noted in its modification time."""
RECENT = 10.0
"""Seconds after its last noted use, at least, for which a copy stays: a server opens a file some time after it was told
its path."""
ROOM = 0.9
"""Share of the limit that is left after copies were removed to make room."""
SPARE = 512 * MIB
"""Bytes on the disk that the shelf leaves free."""
TRIM_EVERY = 60.0
"""Seconds after which a process checks the size of the shelf again, because others fill it too."""
PIECE = MIB
"""Bytes that are hashed at a time when copies are verified again."""
VERIFIED_PER_SECOND = 16 * MIB
"""Bytes that a host verifies a second, at most."""
VERIFY_AGAIN = 60.0
"""Seconds between two rounds of verification."""


class Copy(NamedTuple):
    """One file on the shelf."""

    path: Path
    size: int
    used_at: float
    """Modification time: roughly when it was last sent."""


class Shelf:
    """Finds, keeps and removes copies. Each process has one; all those with the same folder share the copies."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._used = 0
        self._trim_at = 0.0
        self._small: LRUCache[Sha256, bytes] = LRUCache(SMALL_BLOBS if limit else 0, len)

    @property
    def _spool(self) -> Path:
        """The folder of files without a name: it must be on the same disk."""
        return self._folder / "spool"

    def find(self, digest: Sha256, size: int) -> Path | None:
        """Return the path of a copy, or None if the shelf has none."""
        path = self._path(digest)
        try:
            found = path.stat()
        except OSError:
            return None
        if found.st_size != size:
            log.error("a copy on the shelf has another size; it is removed", path=str(path), size=found.st_size)
            path.unlink(missing_ok=True)
            return None
        if time.time() - found.st_mtime > USED:
            with suppress(OSError):
                os.utime(path)
        return path

    def find_small(self, digest: Sha256) -> bytes | None:
        """Return a small blob from memory."""
        return self._small.get(digest)

    def keep_small(self, digest: Sha256, blob: bytes) -> None:
        """Keep a blob with a verified digest in memory, if it is small."""
        if len(blob) <= min(SMALL, self._small.maxsize):
            self._small[digest] = blob

    def has_room(self, size: int) -> bool:
        """Return whether a copy of this size may be put on the shelf. One file gets a quarter of the shelf, at most."""
        if size > self._limit // 4:
            return False
        try:
            return shutil.disk_usage(self._spool).free - size > SPARE
        except OSError:
            # Someone deleted the folder, or its disk is gone.
            with suppress(OSError):
                self.make()
            return False

    def make(self) -> None:
        """Make the folders. Raises `OSError`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._spool.mkdir(mode=0o700, exist_ok=True)

    def open_spool(self) -> IO[bytes]:
        """Open a new file without a name, which `put` can put on the shelf. Raises `OSError`."""
        descriptor = os.open(self._spool, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "r+b", buffering=0)

    def put(self, spooled: int, digest: Sha256, size: int) -> None:
        """Put a file of `open_spool`, whose digest has been verified, on the shelf, by its descriptor.

        If that fails, the shelf just lacks it.
        """
        path = self._path(digest)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            link_unnamed(spooled, path)
        except FileExistsError:
            return
        except OSError as error:
            log.warning("a file could not be put on the shelf", path=str(path), error=str(error))
            return
        self._used += size
        if self._used > self._limit or time.monotonic() > self._trim_at:
            self.trim()

    def trim(self) -> None:
        """Remove the copies that were not used for longest until there is room again."""
        self._trim_at = time.monotonic() + TRIM_EVERY
        with _locked(self._folder / "trim.lock") as is_ours:
            if not is_ours:
                return  # another process does it
            copies = sorted(self._copies(), key=lambda copy: copy.used_at)
            self._used = sum(copy.size for copy in copies)
            if self._used <= self._limit:
                return
            for copy in copies:
                if self._used <= self._limit * ROOM or time.time() - copy.used_at < RECENT:
                    break
                copy.path.unlink(missing_ok=True)
                self._used -= copy.size

    async def verify(self) -> None:
        """Hash all copies again and again, slowly, and remove those with other bytes. Runs until it is cancelled."""
        while True:
            with _locked(self._folder / "verify.lock") as is_ours:
                for copy in await asyncio.to_thread(lambda: list(self._copies())) if is_ours else ():
                    await self._verify(copy)
            await asyncio.sleep(VERIFY_AGAIN)

    async def _verify(self, copy: Copy) -> None:
        try:
            digest = await self._hash(copy)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("a copy on the shelf cannot be read; it is removed", path=str(copy.path), error=str(error))
        else:
            if digest == copy.path.name:
                return
            log.error("a copy on the shelf has other bytes than its name says; it is removed", path=str(copy.path))
        copy.path.unlink(missing_ok=True)

    async def _hash(self, copy: Copy) -> str:
        hasher, at = hashlib.sha256(), 0
        with copy.path.open("rb", buffering=0) as file:
            while count := await asyncio.to_thread(_hash_piece, hasher, file.fileno(), at):
                at += count
                await asyncio.sleep(count / VERIFIED_PER_SECOND)
        return hasher.hexdigest()

    def _copies(self) -> Iterator[Copy]:
        with suppress(FileNotFoundError):
            for folder in os.scandir(self._folder):
                if len(folder.name) == 2:
                    yield from _copies_in(folder.path)

    def _path(self, digest: Sha256) -> Path:
        return self._folder / digest[:2] / digest


def _copies_in(folder: str) -> Iterator[Copy]:
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            found = entry.stat(follow_symlinks=False)
            yield Copy(Path(entry.path), found.st_size, found.st_mtime)


def link_unnamed(descriptor: int, path: Path) -> None:
    """Give an unnamed file a name, as `man 2 open` shows for O_TMPFILE. Raises `OSError`."""
    # With a folder given, Python calls linkat(2), which follows the link in /proc. The path is absolute, so the folder
    # itself does not count.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def _hash_piece(hasher: "hashlib._Hash", descriptor: int, at: int) -> int:
    piece = os.pread(descriptor, PIECE, at)
    hasher.update(piece)
    return len(piece)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a file among all processes, if it is free; yield whether it is held."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
