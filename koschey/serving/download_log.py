"""The log of downloads: a client receives a file only after its download is recorded.

The statement that records a download is also the last gate: it records only files that are served at that moment.

One statement records many downloads. Those that arrive while a statement is in progress are recorded by the next one.
While several arrive at a time, statements keep a distance, so that a process commits at most a few hundred times a
second, however many clients it serves. A single client never waits for that distance.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from packaging.utils import NormalizedName

from koschey.auth.logins import Login
from koschey.db.downloads import Download, NewDownload, record_downloads, select_all_downloads, select_downloads
from koschey.db.pool import ACQUIRE_TIMEOUT, Pool
from koschey.db.projects import select_project
from koschey.errors import Busy, JustChanged, NotKnown
from koschey.model import FileId

DISTANCE = 0.004
"""Seconds between the beginnings of two statements while more than one download arrives at a time."""
MOST = 1000
"""Maximum number of rows in one statement."""

type Waiting = tuple[NewDownload, asyncio.Future[bool]]


class FileDownload(Struct, frozen=True, kw_only=True):
    """A download. Without a login the account is unknown; the address is the client's, as trusted proxies state it."""

    # The API returns it and the command line prints it: its field names stay when a column is renamed or added.

    id: int
    at: datetime
    version: str
    filename: str
    sha256: str | None
    account: str | None
    token: str | None
    address: str | None
    user_agent: str | None


class DownloadLog:
    """Records downloads before they begin, and reads them. One per process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self._next_at = 0.0

    async def record_download(
        self, file: FileId, login: Login | None, address: str | None, user_agent: str | None
    ) -> None:
        """Commit the download of a file, with the account and token of `login`, if any. Raises as `record` does."""
        account, token = (login.account, login.token) if login else (None, None)
        await self.record(NewDownload(file, account, token, address, user_agent))

    async def record(self, download: NewDownload) -> None:
        """Commit a download. After it returns, the file may be sent to the client.

        Raises asyncpg's errors while PostgreSQL is away, and `JustChanged` if the file is no longer served.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((download, future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        if not await future:
            raise JustChanged("the state of the file has changed just now; send the request again")

    async def read(self, project: NormalizedName, version: str | None, *, after: int, limit: int) -> list[FileDownload]:
        """Return the downloads of a project, or of one release, in the order in which they were recorded.

        Waits for downloads that are being recorded. Raises `NotKnown` if there is no such project.
        """
        if await select_project(self._pool, project) is None:
            raise NotKnown(f"there is no project {project} here")
        return _show(await select_downloads(self._pool, project, version, after=after, limit=limit))

    async def read_all(self, project: NormalizedName, version: str | None) -> list[FileDownload]:
        """Return all downloads, however many there are. The list is empty if there is no such project."""
        return _show(await select_all_downloads(self._pool, project, version))

    async def close(self) -> None:
        """Record the pending downloads."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(self) -> None:
        """Write batches until no download is pending."""
        try:
            while self._waiting:
                await asyncio.sleep(self._next_at - time.monotonic())
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                self._next_at = time.monotonic() + (DISTANCE if len(batch) > 1 else 0.0)
                await self._commit(batch)
        finally:
            # Nothing is awaited between the last check and this line, so that no request can arrive in between. If
            # this task is cancelled, no other task writes the pending downloads.
            left, self._waiting, self._writing = self._waiting, [], None
            for future in _open(left):
                future.set_exception(Busy("this process is stopping"))

    async def _commit(self, batch: Sequence[Waiting]) -> None:
        try:
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
                recorded = await record_downloads(connection, [download for download, _ in batch])
        except BaseException as error:
            for future in _open(batch):
                future.set_exception(error if isinstance(error, Exception) else Busy("this process is stopping"))
            if not isinstance(error, Exception):
                raise
            return
        for download, future in batch:
            if not future.done():
                future.set_result(download.file in recorded)


def _show(rows: Sequence[Download]) -> list[FileDownload]:
    return [FileDownload(**row._asdict()) for row in rows]


def _open(batch: Sequence[Waiting]) -> list[asyncio.Future[bool]]:
    """Return the futures on which a caller still waits; a client may have disconnected."""
    return [future for _, future in batch if not future.done()]
