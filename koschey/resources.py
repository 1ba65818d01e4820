"""The resources of a process: one function opens them all, and closes them in the opposite order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Concatenate

from packaging.utils import NormalizedName

from koschey.addresses import Addresses
from koschey.auth.logins import Logins
from koschey.concurrency.supervision import Background, end_process
from koschey.db.listen import Listener
from koschey.db.migrate import check_database
from koschey.db.pool import ACQUIRE_TIMEOUT, LOST, SLOW, Connection, Pool, is_outage, open_pool
from koschey.errors import TaskFailed
from koschey.inspection.attestations.trust import Trust
from koschey.mirror.attestations import ProvenanceStore
from koschey.mirror.cold_paths import ColdPaths
from koschey.mirror.core_metadata import MetadataStore
from koschey.mirror.damage import Repairs
from koschey.mirror.fetch import FileFetcher
from koschey.mirror.file_store import FileStore
from koschey.mirror.leases import Leases
from koschey.mirror.ranges import Pieces
from koschey.mirror.refresh import Refresher
from koschey.mirror.stored_files import StoredFiles
from koschey.mirror.wheel_reader import WheelReader
from koschey.policy.advisories import Feed
from koschey.quarantine.waiting_releases import Quarantine
from koschey.serving.cache import ProjectCache
from koschey.serving.documents import Document
from koschey.serving.download_log import DownloadLog
from koschey.serving.explanations import Explanations
from koschey.serving.feeds import Surveys
from koschey.serving.files import JudgedFiles
from koschey.serving.pages import Pages
from koschey.serving.preflight import Preflight
from koschey.serving.project_json import ProjectDocuments
from koschey.serving.project_list import ProjectList
from koschey.serving.readiness import Readiness
from koschey.serving.served import Served
from koschey.serving.snapshots import SnapshotCache
from koschey.serving.xmlrpc_methods import MirrorCalls
from koschey.settings import Settings
from koschey.storage.s3 import Bucket, OpenBucket
from koschey.storage.shelf import Shelf
from koschey.storage.shelf_folder import open_shelf
from koschey.storage.spool_folder import check_spool
from koschey.upstream.advisories import AdvisoryFeed
from koschey.upstream.client import UpstreamClient
from koschey.upstream.egress import Egress
from koschey.upstream.turns import PLACES

POSTGRESQL_AWAY = LOST
"""Errors that statements raise while PostgreSQL cannot do its work: the same request may succeed later."""
POSTGRESQL_SLOW = SLOW
"""Errors among them after which the same request would take as long again."""
MIB = 2**20
SNAPSHOTS = 256 * MIB
"""Maximum memory for pages and files of projects in one process, in bytes."""
DOCUMENT_CACHE = 64 * MIB
"""Maximum memory for documents of the JSON API in one process, in bytes."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that handlers and activities need."""

    settings: Settings
    pool: Pool
    bucket: Bucket
    shelf: Shelf
    upstream: UpstreamClient
    refresher: Refresher
    pages: Pages
    files: FileStore
    judged_files: JudgedFiles
    pieces: Pieces
    metadata: MetadataStore
    provenance: ProvenanceStore
    trust: Trust
    documents: ProjectDocuments
    quarantine: Quarantine
    surveys: Surveys
    calls: MirrorCalls
    logins: Logins
    downloads: DownloadLog
    advisories: AdvisoryFeed | None
    """The feed that the settings name; None if they name none."""
    preflight: Preflight
    explanations: Explanations
    readiness: Readiness
    listener: Listener
    """Hears of what other processes commit."""

    async def with_connection[**P, T](
        self, change: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a function that needs a connection, for example for a transaction, and return its result.

        Raises `TimeoutError` if no connection is free for `ACQUIRE_TIMEOUT` seconds.
        """
        async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
            return await change(connection, *args, **kwargs)

    @property
    def addresses(self) -> Addresses:
        """The addresses of everything that this index serves."""
        return self.settings.addresses

    @property
    def feed(self) -> Feed | None:
        """How old the data of the advisory feed may be; None if the settings name no feed."""
        return Feed(self.settings.feed_max_age) if self.advisories else None


@asynccontextmanager
async def open_resources(
    settings: Settings, on_failure: Callable[[TaskFailed], None] = end_process
) -> AsyncIterator[Resources]:
    """Open all that a web process or a worker needs. `on_failure` is that of `Background`.

    Raises `StartError` if the database is not migrated, or if no file can be written to the spool or to the shelf.
    """
    check_spool(settings.spool)
    shelf = open_shelf(settings.cache_dir, settings.spool, settings.cache_bytes)
    await check_database(str(settings.database_url))
    pool = await open_pool(str(settings.database_url))
    egress, pages = Egress(settings.allowed_hosts), Egress(settings.allowed_hosts, connections=PLACES)
    try:
        async with OpenBucket(settings) as bucket:
            resources = _wire(settings, pool, _Stores(bucket, shelf), _upstream(settings, egress, pages), egress)
            async with Background(on_failure) as tasks:
                tasks.start("the listener", resources.listener.run, is_outage)
                tasks.start("the shelf", shelf.verify, lambda error: isinstance(error, OSError))
                try:
                    yield resources
                finally:
                    await resources.metadata.close()
                    await resources.provenance.close()
                    await resources.files.close()
                    await resources.surveys.close()
                    await resources.calls.close()
                    await resources.pages.close()
                    await resources.refresher.close()
                    await resources.downloads.close()
                    await resources.logins.close()
    finally:
        await egress.close()
        await pages.close()
        await asyncio.wait_for(pool.close(), 10)


def _upstream(settings: Settings, egress: Egress, egress_of_pages: Egress) -> UpstreamClient:
    return UpstreamClient(
        egress,
        settings.upstream_url,
        max_page=int(settings.max_page_mib * MIB),
        max_file=int(settings.max_file_mib * MIB),
        forbidden_is_missing=settings.upstream_403_is_absent,
        pages=egress_of_pages,
    )


@dataclass(frozen=True, slots=True)
class _Stores:
    """Where bytes are kept."""

    bucket: Bucket
    shelf: Shelf


def _wire(settings: Settings, pool: Pool, stores: _Stores, upstream: UpstreamClient, egress: Egress) -> Resources:
    bucket = stores.bucket
    advisories = AdvisoryFeed(egress, settings.advisories, settings.spool) if settings.advisories else None
    leases = Leases(pool)
    refresher = _refresher(settings, pool, upstream, leases, Feed(settings.feed_max_age) if advisories else None)
    snapshots = SnapshotCache(lambda: listener.is_trusted, limit=SNAPSHOTS)
    store = _file_store(settings, pool, stores, upstream, leases, snapshots)
    document_cache = ProjectCache[Document](lambda: listener.is_trusted, limit=DOCUMENT_CACHE)
    project_list = ProjectList(pool, lambda: listener.is_trusted)

    logins = Logins(pool)
    listener = _listener(settings, leases, logins, project_list, (snapshots, document_cache))
    served = Served(pool, settings.addresses, settings.upstream_url, settings.window)
    freshness = settings.page_freshness
    pages = Pages(pool, snapshots, refresher, project_list, served, freshness=freshness)
    trust = Trust(settings.sigstore_trust_root)
    metadata = MetadataStore(pool, bucket, upstream, WheelReader(pool, bucket, upstream), store)
    documents = ProjectDocuments(pool, bucket, metadata, refresher, document_cache, served, freshness=freshness)
    return Resources(
        settings=settings,
        pool=pool,
        bucket=bucket,
        shelf=stores.shelf,
        upstream=upstream,
        refresher=refresher,
        pages=pages,
        files=store,
        judged_files=JudgedFiles(pool, refresher, ColdPaths(pool, refresher)),
        pieces=Pieces(upstream, store),
        metadata=metadata,
        provenance=ProvenanceStore(pool, bucket, upstream, trust, leases),
        trust=trust,
        documents=documents,
        quarantine=Quarantine(pool),
        surveys=Surveys(pool, refresher, served),
        calls=MirrorCalls(pool, pages),
        logins=logins,
        downloads=DownloadLog(pool),
        advisories=advisories,
        preflight=Preflight(pool, refresher, settings.window, freshness),
        explanations=Explanations(pool, refresher, pages, settings.window),
        readiness=Readiness(pool, bucket, listener),
        listener=listener,
    )


def _file_store(
    settings: Settings,
    pool: Pool,
    stores: _Stores,
    upstream: UpstreamClient,
    leases: Leases,
    snapshots: SnapshotCache,
) -> FileStore:
    bucket, shelf = stores.bucket, stores.shelf
    return FileStore(
        pool,
        StoredFiles(pool, bucket, shelf),
        shelf,
        FileFetcher(pool, bucket, upstream, Repairs(pool, bucket)),
        leases,
        spool=settings.spool,
        on_stored=snapshots.correct,
    )


def _refresher(
    settings: Settings, pool: Pool, upstream: UpstreamClient, leases: Leases, feed: Feed | None
) -> Refresher:
    return Refresher(
        pool,
        upstream,
        leases,
        window=settings.window,
        freshness=settings.page_freshness,
        feed=feed,
        confirmed_after=settings.confirmed_after,
    )


def _listener(
    settings: Settings,
    leases: Leases,
    logins: Logins,
    project_list: ProjectList,
    caches: tuple[SnapshotCache, ProjectCache[Document]],
) -> Listener:
    """Return the listener that hears of every commit, and removes changed projects from the caches."""
    snapshots, documents = caches

    def hear_project(name: str, sender: int) -> None:
        project_list.change()
        documents.forget(name)
        snapshots.hear_changed(name, sender)

    def hear_account(_payload: str, _sender: int) -> None:
        logins.forget_tokens()

    def hear_stored(payload: str, _sender: int) -> None:
        project, slash, rest = payload.partition("/")
        name = NormalizedName(project)
        documents.distrust(name)
        snapshots.hear_stored(name, slash + rest)

    def lose() -> None:
        logins.forget_tokens()
        project_list.change()
        for cache in caches:
            cache.forget_all()

    return Listener(
        str(settings.database_url),
        {
            "koschey_project": hear_project,
            "koschey_file": hear_stored,
            "koschey_lease": leases.hear,
            "koschey_account": hear_account,
        },
        on_lost=lose,
    )
