"""Opens a file's bytes for clients: from the bucket, or from the one fetch in progress."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO

import structlog

from koschey.db import files
from koschey.db.fetches import begin_fetch
from koschey.db.outbox import delete_message
from koschey.db.pool import LOST, Pool
from koschey.errors import Busy, KoscheyError, StoreUnavailable
from koschey.mirror.fetch import FileFetcher
from koschey.mirror.leases import Holding, Leases
from koschey.mirror.spool import Fetch
from koschey.mirror.stored_files import StoredFiles
from koschey.model import File, FileId
from koschey.outbox import FileWanted
from koschey.storage.shelf import Shelf

log = structlog.get_logger()

LEASE = 15.0
"""Seconds after which another process, or the worker, may repeat a fetch whose process died."""


@dataclass(frozen=True, slots=True)
class FileBody:
    """Bytes that can be read in any range; `size` is that of the whole file in bytes."""

    file: File
    size: int
    stored: StoredFiles
    fetch: Fetch | None

    def read(self, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to, but not including, `stop`.

        Raises the error of the fetch, `StoreUnavailable`, or, after the damage is recorded, `Damaged`.
        """
        # Checked when reading begins: since the file was opened, the fetch may have ended and closed its spool.
        if self.fetch is not None and not self.fetch.is_only_in_bucket:
            return self.fetch.read(start, stop, self.size)
        return self.stored.read(self.fetch.file if self.fetch else self.file, start, stop)


class FileStore:
    """Opens files, and holds the fetches in progress in this process. One per process."""

    def __init__(
        self,
        pool: Pool,
        stored: StoredFiles,
        shelf: Shelf,
        fetcher: FileFetcher,
        leases: Leases,
        *,
        spool: Path | None,
        on_stored: Callable[[File], None] = lambda _: None,
    ) -> None:
        """Fetch files under leases, by `fetcher`. `on_stored` is called with each file that this process has stored."""
        self._pool = pool
        self._stored = stored
        self._shelf = shelf
        self._fetcher = fetcher
        self._leases = leases
        self._spool = spool
        self._on_stored = on_stored
        self._fetches: dict[FileId, Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._behind: set[FileId] = set()
        self._failing: set[FileId] = set()

    async def open(self, file: File) -> FileBody:
        """Return the file's bytes; fetch them if they are not stored yet.

        Raises `UpstreamError` if the fetch fails before the answer can begin, and `Busy` if the fetch of another
        process takes too long.
        """
        fetch = None if file.stored_at else self._join_or_fetch(file)
        if fetch is not None:
            fetch.is_requested = True
            await fetch.started()
            file = fetch.file
        size = file.size if fetch is None else fetch.total
        assert size is not None
        return FileBody(file, size, self._stored, fetch)

    async def reload(self, file: File) -> File:
        """Return the file from its current row."""
        current = await files.select_file(self._pool, file.id)
        assert current is not None
        return current.file

    async def store(self, file: File) -> File:
        """Return the file after it is stored; fetch it if necessary. Raises as `open` does."""
        if file.stored_at:
            return file
        fetch = self._join_or_fetch(file)
        await fetch.finished()
        return fetch.file

    def fetch_in_background(self, file: File) -> None:
        """Fetch a file in the background, for no waiting client."""
        if file.id not in self._behind and file.id not in self._fetches:
            self._behind.add(file.id)
            self._track(asyncio.create_task(self._fetch_in_background(file)))

    def has_sent_bytes(self, file: FileId) -> bool:
        """Return whether a client has received bytes of a fetch that is in progress or has just failed."""
        fetch = self._fetches.get(file)
        return file in self._failing or (fetch is not None and fetch.has_sent_bytes)

    async def close(self) -> None:
        """Cancel all fetches; the worker starts them again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stored.close()

    def _join_or_fetch(self, file: File) -> Fetch:
        """Return this process's fetch of a file; start one if there is none.

        The fetch ends at once if the file is stored. This method awaits nothing, so that no other task can start a
        second fetch in between.
        """
        if fetch := self._fetches.get(file.id):
            return fetch
        try:
            fetch = self._fetches[file.id] = Fetch(file, self._new_spool(file))
        except OSError as error:
            raise StoreUnavailable(f"{file.filename} cannot be spooled (KOSCHEY_SPOOL): {error}") from error
        self._track(asyncio.create_task(self._run(fetch)))
        return fetch

    def _track(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch_in_background(self, file: File) -> None:
        try:
            await self.store(file)
        except (KoscheyError, OSError) as error:
            log.info("a file could not be fetched in the background", file=file.filename, error=str(error))
        finally:
            self._behind.discard(file.id)

    async def _run(self, fetch: Fetch) -> None:
        """Wait for other processes, fetch, and notify all waiting clients of the result, whatever is raised."""
        file = fetch.file
        # The lease, the row, and the message for the worker: if this process dies, the worker downloads the file.
        begin = partial(begin_fetch, file.id, timedelta(seconds=LEASE))
        try:
            async with self._leases.hold_by(begin, f"file/{file.id}", LEASE, file.filename) as holding:
                await self._fetch(fetch, holding)
        except BaseException as error:
            self._fail(fetch, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._forget(fetch)
            self._failing.discard(file.id)

    async def _fetch(self, fetch: Fetch, holding: Holding[File]) -> None:
        """Fetch a file unless another process has stored it. If that fails, record the failure and raise its error."""
        try:
            fetch.file, fetch.total = holding.found, holding.found.size
            if fetch.file.stored_at:
                self._on_stored(fetch.file)
                fetch.succeed(fetch.file)
                return
            stored = await self._fetcher.obtain(fetch, holding)
            # The lease may be returned: a client that finds the stored bytes damaged must not join this fetch.
            self._forget(fetch)
            await self._put_on_shelf(fetch, stored)
            self._on_stored(stored)
            fetch.succeed(stored)
        except BaseException as error:
            self._fail(fetch, error)
            await self._note_failure(fetch)
            raise
        finally:
            self._forget(fetch)

    def _new_spool(self, file: File) -> Callable[[], IO[bytes]]:
        """Return a function that opens a spool, on the disk of the shelf if the file has room there."""
        if self._shelf.has_room(file.size or 0):
            return self._shelf.open_spool
        return lambda: tempfile.TemporaryFile(dir=self._spool, buffering=0)

    async def _put_on_shelf(self, fetch: Fetch, stored: File) -> None:
        """Put a file that a client has requested on the shelf. A file that only the worker fetched may stay held."""
        if fetch.is_requested and fetch.received == stored.size and stored.sha256 and self._shelf.has_room(stored.size):
            await asyncio.to_thread(self._shelf.put, fetch.descriptor, stored.sha256, stored.size)

    def _fail(self, fetch: Fetch, error: BaseException) -> None:
        """Notify all waiting clients of the first failure, unless the file is stored.

        The next client starts another fetch.
        """
        if fetch.stored or fetch.error is not None:
            return
        fetch.fail(_client_error(fetch.file, error))
        log.warning("a file could not be fetched", file=fetch.file.filename, error=str(fetch.error))
        self._forget(fetch)
        if fetch.has_sent_bytes:
            self._failing.add(fetch.file.id)  # until the row says so

    def _forget(self, fetch: Fetch) -> None:
        if self._fetches.get(fetch.file.id) is fetch:
            del self._fetches[fetch.file.id]

    async def _note_failure(self, fetch: Fetch) -> None:
        """Record a failure of which clients were notified, so that the worker does not repeat the fetch.

        If PostgreSQL does not answer, the worker tries once more.
        """
        try:
            if fetch.has_sent_bytes:
                await files.update_mismatched(self._pool, fetch.file.id)
            await delete_message(self._pool, FileWanted(fetch.file.id))
        except Exception as error:  # noqa: BLE001 - no caller needs the error, whatever PostgreSQL says
            log.warning("a failed fetch could not be recorded", file=fetch.file.filename, error=repr(error))


def _client_error(file: File, error: BaseException) -> KoscheyError:
    """Return the error that clients receive for an error that ended the fetch of a file."""
    if isinstance(error, KoscheyError):
        return error
    if isinstance(error, LOST):
        return StoreUnavailable(f"PostgreSQL does not answer; {file.filename} was not stored")
    if isinstance(error, OSError):
        return StoreUnavailable(f"{file.filename} cannot be spooled (KOSCHEY_SPOOL): {error}")
    if isinstance(error, Exception):
        log.error("the fetch of a file failed", file=file.filename, exc_info=error)
        return StoreUnavailable(f"{file.filename} was not stored: {type(error).__name__}")
    return Busy(f"the process that fetched {file.filename} is stopping; try again")
