"""Gathers what checks receive of a file: its row, provenance and archive contents, and the same of its predecessor.

A child process reads the archive once, and is killed if it takes too long; the report is stored. If the predecessor was
never downloaded, it is downloaded now: a comparison with nothing would find nothing.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec
from packaging.utils import NormalizedName

from koschey.concurrency.flights import Flights
from koschey.db.attestations import select_attestation
from koschey.db.checking import select_used_names
from koschey.db.contents import select_counts, select_report, upsert_report
from koschey.db.pool import Pool
from koschey.errors import Damaged, EgressRefused, UpstreamMalformed, UpstreamMissing
from koschey.inspection.archives.content import Content
from koschey.inspection.checks.check import Family, FileFacts
from koschey.inspection.checks.lookalikes import nearest
from koschey.inspection.sandbox.inspector import Inspector
from koschey.mirror.attestations import ProvenanceStore
from koschey.mirror.damage import report_damage
from koschey.mirror.file_store import FileStore
from koschey.model import File, FileId, Origin, StandingFile, State
from koschey.policy.predecessors import newest_released, predecessors
from koschey.storage.blobs import stream_blob
from koschey.storage.s3 import Bucket

FAMILY = 10
"""Maximum number of released files with which a file's size is compared."""
TRIED = 3
"""Maximum number of predecessors that are tried, if the nearest can no longer be downloaded."""
NAMES = 5_000
"""Maximum number of used names with which a new name is compared."""
NAMES_LAST = 600.0
"""Seconds for which the used names are cached."""


@dataclass(slots=True)
class FactReader:
    """Gathers the facts about files for checks. A process has one."""

    pool: Pool
    bucket: Bucket
    store: FileStore
    provenance: ProvenanceStore
    inspector: Inspector
    spool: Path | None
    _reading: Flights[FileId, Content] = field(default_factory=Flights)
    _names: tuple[float, Sequence[str]] = (-NAMES_LAST, ())

    async def read(self, item: StandingFile, origin: Origin, known: Sequence[StandingFile]) -> FileFacts:
        """Return the facts about a file; `known` are all files of its project.

        Raises `Refused` if its archive cannot be read within the limits, and `StoreUnavailable`.
        """
        return await self._facts(item.file, origin, await self.read_content(item.file), await self._family(item, known))

    async def read_previous(
        self, item: StandingFile, origin: Origin, known: Sequence[StandingFile]
    ) -> FileFacts | None:
        """Return the facts about the file that it is compared with; None if it has no predecessor.

        The content is None if the predecessors that were tried can no longer be downloaded. Raises as `read` does, and
        `UpstreamUnavailable` or `Busy`.
        """
        nearest_first = list(islice(predecessors(item.file, known), TRIED))
        for file in nearest_first:
            try:
                stored = await self.store.store(file)
            except (UpstreamMissing, UpstreamMalformed, EgressRefused):
                continue
            await self._attach(stored)
            return await self._facts(stored, origin, await self.read_content(stored))
        if not nearest_first:
            return None
        await self._attach(nearest_first[0])
        return await self._facts(nearest_first[0], origin, None)

    @asynccontextmanager
    async def open(self, file: File) -> AsyncIterator[IO[bytes]]:
        """Copy a stored file to a temporary file without a name. Raises `StoreUnavailable` if the bytes differ."""
        assert file.sha256 is not None
        assert file.size is not None
        with tempfile.TemporaryFile(dir=self.spool) as copy:
            try:
                async for chunk in stream_blob(self.bucket, file.sha256, file.size):
                    await asyncio.to_thread(copy.write, chunk)
            except Damaged as error:
                await report_damage(self.pool, file, error)
                raise
            await asyncio.to_thread(copy.flush)
            yield copy

    async def read_content(self, file: File) -> Content:
        """Return what an archive contains. It is read if no report is stored; concurrent callers share one reading."""
        if (report := await select_report(self.pool, file.id)) is not None:
            return msgspec.convert(report, Content)
        return await self._reading.join(file.id, lambda: self._read_content(file))

    async def _read_content(self, file: File) -> Content:
        async with self.open(file) as copy:
            content = await self.inspector.read_content(copy.fileno(), file.filename)
        assert file.sha256 is not None
        await upsert_report(self.pool, file.id, file.sha256, msgspec.to_builtins(content))
        return content

    async def _attach(self, file: File) -> None:
        """Verify the predecessor's provenance if that has not been done yet."""
        if file.attestation is None and file.provenance_url is not None:
            try:
                await self.provenance.attach(file.id)
            except (UpstreamMissing, UpstreamMalformed, EgressRefused):
                # The facts will say that it is not available.
                return

    async def _facts(
        self, file: File, origin: Origin, content: Content | None, family: Family | None = None
    ) -> FileFacts:
        attested = await select_attestation(self.pool, file.id)
        return FileFacts(
            project=file.project,
            version=file.version,
            filename=file.filename,
            sha256=file.sha256 or "",
            size=file.size or 0,
            origin=origin,
            upload_time=file.upload_time,
            yanked=file.yanked,
            requires_python=file.requires_python,
            core_metadata=file.core_metadata,
            attestation=attested.judgement.verdict if attested else None,
            promised=attested is None and file.provenance_url is not None,
            publishers=tuple(attested.judgement.publishers) if attested else (),
            content=content,
            family=family or Family(),
        )

    async def _family(self, item: StandingFile, known: Sequence[StandingFile]) -> Family:
        newest = newest_released(item.file, known, FAMILY)
        counts = await select_counts(self.pool, [file.id for file in newest])
        released = {one.file.version for one in known if one.standing.state is State.RELEASED}
        return Family(
            releases=len(released),
            sizes=tuple(file.size for file in newest if file.size is not None),
            counts=tuple(counts[file.id] for file in newest if file.id in counts),
            near=() if released else await self._near(item.file.project),
        )

    async def _near(self, name: NormalizedName) -> tuple[str, ...]:
        read_at, names = self._names
        if time.monotonic() - read_at >= NAMES_LAST:
            names = await select_used_names(self.pool, NAMES)
            self._names = (time.monotonic(), names)
        return await asyncio.to_thread(nearest, name, names)
