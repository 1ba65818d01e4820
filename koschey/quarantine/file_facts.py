"""Gathers what checks receive of a file: its row, provenance and archive contents, and the same of its predecessor.

One statement reads what is recorded about a portion of files, their predecessors and their relatives. A child process
reads an archive once, and is killed if it takes too long; the report is stored. If the predecessor was never
downloaded, it is downloaded now: a comparison with nothing would find nothing.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec
from packaging.utils import NormalizedName

from koschey.concurrency.flights import Flights
from koschey.db.checking import Recorded, select_recorded, select_used_names
from koschey.db.contents import select_report, upsert_report
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


@dataclass(frozen=True, slots=True)
class Portion:
    """Files of one project that are checked together, and what is recorded about them."""

    items: Sequence[StandingFile]
    origin: Origin
    known: Sequence[StandingFile]
    """All files of the project."""
    read_at: datetime
    """PostgreSQL's time before the records were read."""
    predecessors: Mapping[FileId, Sequence[File]]
    """For each file, the files that it may be compared with, the nearest first; at most `TRIED`."""
    relatives: Mapping[FileId, Sequence[File]]
    """For each file, recently released files of its kind, the newest first; at most `FAMILY`."""
    recorded: Mapping[FileId, Recorded]

    def is_comparable(self, item: StandingFile) -> bool:
        """Return whether a file can be compared without a download: its predecessor is here, or it has none."""
        nearest = next(iter(self.predecessors[item.file.id]), None)
        return nearest is None or (nearest.stored_at is not None and not self.lacks_attestation(nearest))

    def lacks_attestation(self, file: File) -> bool:
        """Return whether the upstream lists a provenance object of a file, and none is stored."""
        return file.provenance_url is not None and self.of(file).verdict is None

    def of(self, file: File) -> Recorded:
        """Return what is recorded about a file of the portion, its predecessor or relative."""
        return self.recorded.get(file.id, Recorded())


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

    async def load(self, items: Sequence[StandingFile], origin: Origin, known: Sequence[StandingFile]) -> Portion:
        """Read what is recorded about files; `known` are all files of their project."""
        nearest = {item.file.id: list(islice(predecessors(item.file, known), TRIED)) for item in items}
        relatives = {item.file.id: newest_released(item.file, known, FAMILY) for item in items}
        whole = {*nearest, *(files[0].id for files in nearest.values() if files)}
        counted = {file.id for files in relatives.values() for file in files}
        read_at, recorded = await select_recorded(self.pool, sorted(whole), sorted(counted))
        return Portion(items, origin, known, read_at, nearest, relatives, recorded)

    async def read(self, item: StandingFile, portion: Portion) -> FileFacts:
        """Return the facts about a file of the portion.

        Raises `Refused` if its archive cannot be read within the limits, and `StoreUnavailable`.
        """
        recorded = portion.of(item.file)
        content = await self._content(item.file, recorded)
        return facts_of(item.file, portion.origin, recorded, content, await self._family(item, portion))

    async def read_previous(self, item: StandingFile, portion: Portion) -> FileFacts | None:
        """Return the facts about the file that it is compared with; None if it has no predecessor.

        The content is None if the predecessors that were tried can no longer be downloaded. Raises as `read` does, and
        `UpstreamUnavailable` or `Busy`.
        """
        nearest_first = portion.predecessors[item.file.id]
        for file in nearest_first:
            try:
                stored = await self.store.store(file)
            except (UpstreamMissing, UpstreamMalformed, EgressRefused):
                continue
            recorded = await self._recorded_previous(stored, portion)
            content = await self._content(stored, recorded)
            return facts_of(stored, portion.origin, recorded, content)
        if not nearest_first:
            return None
        return facts_of(
            nearest_first[0], portion.origin, await self._recorded_previous(nearest_first[0], portion), None
        )

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

    async def _content(self, file: File, recorded: Recorded) -> Content:
        """Return what an archive contains. It is read if no report is stored; concurrent callers share one reading."""
        report = recorded.report
        if report is None and recorded.is_read:
            report = await select_report(self.pool, file.id)
        if report is not None:
            return msgspec.convert(report, Content)
        return await self._reading.join(file.id, lambda: self._read_content(file))

    async def _read_content(self, file: File) -> Content:
        async with self.open(file) as copy:
            content = await self.inspector.read_content(copy.fileno(), file.filename)
        assert file.sha256 is not None
        await upsert_report(self.pool, file.id, file.sha256, msgspec.to_builtins(content))
        return content

    async def _recorded_previous(self, file: File, portion: Portion) -> Recorded:
        """Return what is recorded about a predecessor, after its provenance is verified if it was not yet."""
        recorded = portion.of(file)
        if recorded.is_read and not portion.lacks_attestation(file):
            return recorded
        # Another file may have the same predecessor, which was read for it after the portion was loaded.
        _, found = await select_recorded(self.pool, [file.id], [])
        if found[file.id].verdict is not None or file.provenance_url is None:
            return found[file.id]
        try:
            await self.provenance.attach(file.id)
        except (UpstreamMissing, UpstreamMalformed, EgressRefused):
            # The facts will say that it is not available.
            return found[file.id]
        _, found = await select_recorded(self.pool, [file.id], [])
        return found[file.id]

    async def _family(self, item: StandingFile, portion: Portion) -> Family:
        newest = portion.relatives[item.file.id]
        released = {one.file.version for one in portion.known if one.standing.state is State.RELEASED}
        counts = [portion.of(file).members for file in newest]
        return Family(
            releases=len(released),
            sizes=tuple(file.size for file in newest if file.size is not None),
            counts=tuple(count for count in counts if count is not None),
            near=() if released else await self._near(item.file.project),
        )

    async def _near(self, name: NormalizedName) -> tuple[str, ...]:
        read_at, names = self._names
        if time.monotonic() - read_at >= NAMES_LAST:
            names = await select_used_names(self.pool, NAMES)
            self._names = (time.monotonic(), names)
        return await asyncio.to_thread(nearest, name, names)


def facts_of(
    file: File, origin: Origin, recorded: Recorded, content: Content | None, family: Family | None = None
) -> FileFacts:
    """Return the facts about a file from its row, its records, and what its archive contains."""
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
        attestation=recorded.verdict,
        promised=recorded.verdict is None and file.provenance_url is not None,
        publishers=tuple(recorded.publishers),
        content=content,
        family=family or Family(),
    )
