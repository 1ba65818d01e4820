"""Builds the JSON API's documents from the served files and the metadata of one release, and keeps them in memory."""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from functools import partial

import structlog
from packaging.utils import NormalizedName

from koschey.db import projects
from koschey.db.pool import Pool
from koschey.errors import Damaged, KoscheyError
from koschey.mirror.core_metadata import MetadataStore
from koschey.mirror.damage import report_metadata_damage
from koschey.mirror.refresh import Refresher
from koschey.model import File
from koschey.serving.cache import ProjectCache
from koschey.serving.documents import Document, document_of
from koschey.serving.served import Served
from koschey.standards.core_metadata import CoreMetadata, read_core_metadata
from koschey.standards.project_json import find_version, is_yanked, latest_version, releases_of, render_project
from koschey.standards.project_page import ProjectPage
from koschey.standards.versions import canonical_version
from koschey.storage.blobs import read_blob
from koschey.storage.s3 import Bucket

log = structlog.get_logger()

PATIENCE = 10.0
"""Seconds to wait for metadata; after that the document is built without it."""
RETRY_AFTER = 60.0
"""Seconds for which a document is kept whose metadata was not available."""
RENDER_IN_THREAD = 500
"""Number of files above which a project is rendered in a thread, so that other requests continue."""
MAX_SUMMARY = 512
"""Maximum number of characters of a summary that a search reads; the public index accepts no longer ones."""
LATEST = ""
"""Cache key of the document about the latest release; no version has this key."""


class ProjectDocuments:
    """Builds and caches documents about projects. One per process."""

    def __init__(
        self,
        pool: Pool,
        bucket: Bucket,
        metadata: MetadataStore,
        refresher: Refresher,
        cache: ProjectCache[Document],
        served: Served,
        *,
        freshness: float,
    ) -> None:
        self._pool = pool
        self._bucket = bucket
        self._metadata = metadata
        self._refresher = refresher
        self._cache = cache
        self._served = served
        self._freshness = freshness

    async def get(self, name: NormalizedName, version: str | None) -> Document | None:
        """Return the document about a project's latest release or one of its versions, or None if it is not served.

        Raises `UpstreamError` or `Busy` if the first refresh of a project fails.
        """
        key = canonical_version(version) if version is not None else LATEST
        if document := self._cached(name, key):
            return document
        if await self._refresher.find(name) is None:
            return None
        changes, begun = self._cache.changes, time.monotonic()
        page = await self._served.load(name)
        document = await self._build(page, version) if page else None
        if page is not None and document is not None:
            document.expires_at = min(document.expires_at, begun + page.lasts)
            self._cache.put(name, document, changes, key)
        return document

    def _cached(self, name: NormalizedName, key: str) -> Document | None:
        """Return the document from memory, or None. The project of an old one is refreshed in the background."""
        document = self._cache.get(name, key)
        if document is not None and time.monotonic() - document.built_at > self._freshness:
            document.built_at = time.monotonic()
            self._refresher.find_in_background(name)
        return document

    async def _build(self, page: ProjectPage, requested: str | None) -> Document | None:
        releases = releases_of(page.files)
        if requested is None:
            version = latest_version({version: is_yanked(files) for version, files in releases.items()})
        else:
            version = find_version(releases, requested)
        if version is None:
            return None
        metadata, lasts = await self._read_metadata(page.name, releases[version])
        if requested is None and metadata is not None:
            summary = metadata.summary[:MAX_SUMMARY] if metadata.summary else None
            await projects.update_summary(self._pool, page.name, summary)
        render = partial(render_project, page, version, metadata, all_releases=requested is None)
        body = await asyncio.to_thread(render) if len(page.files) > RENDER_IN_THREAD else render()
        return document_of(page.serial, body, lasts=lasts)

    async def _read_metadata(self, name: NormalizedName, files: Sequence[File]) -> tuple[CoreMetadata | None, float]:
        """Return the metadata of a release, or None, and for how many seconds the result may be kept."""
        lasts = math.inf
        for file in _best_files(files):
            try:
                async with asyncio.timeout(PATIENCE):
                    body = await self._read(file)
            except (KoscheyError, TimeoutError) as error:
                log.info("metadata could not be read", filename=file.filename, error=repr(error))
                lasts = RETRY_AFTER
                continue
            metadata = await asyncio.to_thread(read_core_metadata, body) if body is not None else None
            # Metadata that names another project does not describe this one.
            if metadata is not None and metadata.project == name:
                return metadata, lasts
        return None, lasts

    async def _read(self, file: File) -> bytes | None:
        if file.core_metadata:
            return await self._metadata.read(file)
        assert file.pkg_info is not None
        try:
            return await read_blob(self._bucket, file.pkg_info)
        except Damaged as error:
            await report_metadata_damage(self._pool, file, error)
            raise


def _best_files(files: Sequence[File]) -> Iterator[File]:
    """Yield one wheel, if possible one with stored metadata, then one file whose PKG-INFO is stored."""
    wheels = sorted((file for file in files if file.core_metadata), key=lambda file: not file.metadata_stored)
    yield from wheels[:1]
    yield from [file for file in files if file.pkg_info and not file.core_metadata][:1]
