"""An upload in progress, from its first object in the bucket to its rows: if it fails, its objects are deleted.

Bytes come first, rows second. Before the first object is stored, a row of `pending_upload` says whose it is; the
transaction that adds the file deletes that row. If the file is not added, the objects to which nothing else refers are
deleted at once. If the process dies or the bucket is not available, housekeeping deletes them later. Only one upload of
the same bytes is in progress at a time: the others wait, and then find the file or begin themselves.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from packaging.utils import NormalizedName

from koschey.concurrency.waiting import cancelled
from koschey.db.pending_uploads import (
    PendingUpload,
    delete_discarded,
    discard_pending,
    insert_pending,
    renew_pending,
    select_abandoned,
)
from koschey.db.pool import ACQUIRE_TIMEOUT, LOST, Pool
from koschey.errors import Busy, StoreUnavailable
from koschey.model import Sha256
from koschey.storage.s3 import blob_key, manifest_key, provenance_key
from koschey.storage.spooled import UploadStore

log = structlog.get_logger()

LEASE = 60.0
"""Seconds after which an upload whose process died may be discarded or begun again; renewed every third of it."""
PATIENCE = 25.0
"""Seconds to wait for another upload of the same bytes."""
POLL = 0.2
SWEPT = 100
"""Maximum number of abandoned uploads that one sweep discards."""


@asynccontextmanager
async def pending(
    pool: Pool, store: UploadStore, sha256: Sha256, metadata: Sha256, project: NormalizedName
) -> AsyncIterator[PendingUpload]:
    """Record that objects are being stored. They are deleted at the end, unless the caller has used `delete_completed`.

    Raises `Busy` if another upload of the same bytes takes too long.
    """
    upload = PendingUpload(sha256, metadata, project, str(uuid.uuid4()))
    await _begin(pool, upload)
    renewal = asyncio.create_task(_renew(pool, upload))
    try:
        yield upload
    finally:
        await cancelled(renewal)
        try:
            # After the rows were written, its own row is gone, and this does nothing.
            await _discard(pool, store, upload, abandoned=False)
        except (*LOST, StoreUnavailable) as error:
            log.warning("an upload is left to be swept", sha256=sha256, error=repr(error))


async def sweep_uploads(pool: Pool, store: UploadStore) -> int:
    """Delete the objects of uploads whose process died or could not delete them; returns the number of uploads."""
    abandoned = await select_abandoned(pool, SWEPT)
    for upload in abandoned:
        await _discard(pool, store, upload, abandoned=True)
    return len(abandoned)


async def _begin(pool: Pool, upload: PendingUpload) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        async with pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
            if await insert_pending(connection, upload, LEASE):
                return
        if time.monotonic() > deadline:
            raise Busy("another upload of the same bytes is under way; try again soon")
        await asyncio.sleep(POLL)


async def _renew(pool: Pool, upload: PendingUpload) -> None:
    while True:
        await asyncio.sleep(LEASE / 3)
        try:
            await renew_pending(pool, upload, LEASE)
        except LOST as error:
            log.warning("an upload cannot be renewed now", sha256=upload.sha256, error=repr(error))


async def _discard(pool: Pool, store: UploadStore, upload: PendingUpload, *, abandoned: bool) -> None:
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
        use = await discard_pending(connection, upload, LEASE, abandoned=abandoned)
    if use is None:
        return
    if not use.bytes:
        await store.delete_file(upload.sha256)
        await store.delete(manifest_key(upload.sha256))
        await store.delete(provenance_key(upload.sha256))
    if not use.metadata:
        await store.delete(blob_key(upload.metadata))
    await delete_discarded(pool, upload)
