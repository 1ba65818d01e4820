"""What a process holds open: one function opens it all, and closes it in the opposite order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from koschey.db.listen import Listener, cancelled
from koschey.db.migrate import require_present
from koschey.db.pool import Pool, open_pool
from koschey.index.attestations import ProvenanceStore
from koschey.index.fetching import FileFetcher
from koschey.index.files import FileStore
from koschey.index.page_cache import PageCache
from koschey.index.pages import Pages
from koschey.index.project_list import ProjectList
from koschey.index.refresh import Refresher
from koschey.inspection.trust import Trust
from koschey.settings import Settings
from koschey.storage.s3 import Bucket, OpenBucket
from koschey.upstream.client import UpstreamClient
from koschey.upstream.egress import Egress

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that handlers and activities work with."""

    settings: Settings
    pool: Pool
    bucket: Bucket
    upstream: UpstreamClient
    refresher: Refresher
    pages: Pages
    files: FileStore
    provenance: ProvenanceStore
    trust: Trust


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open all that a web process or a worker needs. Raises `StartError` where the database is not migrated."""
    pool = await open_pool(str(settings.database_url))
    egress = Egress(allow_private=settings.allow_private_upstream)
    try:
        async with pool.acquire() as connection:
            await require_present(connection)
        async with OpenBucket(settings) as bucket:
            resources, listener = _wire(settings, pool, bucket, egress)
            listening = asyncio.create_task(listener.run())
            try:
                yield resources
            finally:
                await resources.provenance.close()
                await resources.files.close()
                await resources.refresher.close()
                await resources.pages.close()
                await cancelled(listening)
    finally:
        await egress.close()
        await asyncio.wait_for(pool.close(), 10)


def _wire(settings: Settings, pool: Pool, bucket: Bucket, egress: Egress) -> tuple[Resources, Listener]:
    upstream = UpstreamClient(
        egress,
        settings.upstream_url,
        max_page=int(settings.max_page_mib * MIB),
        max_file=int(settings.max_file_mib * MIB),
    )
    refresher = Refresher(pool, upstream, window=settings.window, freshness=settings.page_freshness)
    store = FileStore(pool, bucket, FileFetcher(pool, bucket, upstream), settings.spool)
    cache = PageCache(lambda: listener.connected)
    project_list = ProjectList(pool, lambda: listener.connected)

    def hear_project(name: str) -> None:
        cache.forget(name)
        project_list.change()

    def lose() -> None:
        cache.forget_all()
        project_list.change()

    def hear_lease(key: str) -> None:
        refresher.hear(key)
        store.hear(key)

    listener = Listener(
        str(settings.database_url),
        {"koschey_project": hear_project, "koschey_lease": hear_lease},
        on_lost=lose,
    )
    pages = Pages(
        pool,
        cache,
        refresher,
        project_list,
        freshness=settings.page_freshness,
        root=settings.public_url,
        upstream=settings.upstream_url,
    )
    trust = Trust(settings.sigstore_trust_root)
    provenance = ProvenanceStore(pool, bucket, upstream, trust)
    return Resources(settings, pool, bucket, upstream, refresher, pages, store, provenance, trust), listener
