"""Provenance objects (PEP 740) of mirrored files: downloaded once for all callers, verified, and stored unchanged.

The verdict on an object states what it proves. Only `policy.verdict` decides whether a file is served.
"""

import asyncio
from dataclasses import dataclass, field, replace

from koschey.concurrency.flights import Flights
from koschey.db import files, journal, projects
from koschey.db.attestations import Attested, select_attestation, upsert_attestation
from koschey.db.journal import Entry
from koschey.db.pool import Pool
from koschey.events import Event
from koschey.inspection.attestations.trust import Trust
from koschey.mirror.leases import Leases
from koschey.model import SYSTEM, AttestationVerdict, File, FileId, Origin, Sha256
from koschey.standards.attestations import Judgement
from koschey.standards.provenance import render_provenance
from koschey.storage.manifests import write_manifest, write_provenance
from koschey.storage.s3 import Bucket
from koschey.upstream.client import UpstreamClient

LEASE = 60.0
"""Seconds after which another process may repeat a fetch whose process died."""


@dataclass(slots=True)
class ProvenanceStore:
    """Returns provenance objects, and downloads them from upstreams. One per process."""

    pool: Pool
    bucket: Bucket
    upstream: UpstreamClient
    trust: Trust
    leases: Leases
    _flights: Flights[tuple[FileId, bool], AttestationVerdict | None] = field(default_factory=Flights)

    async def read(self, file: File) -> Attested | None:
        """Return a file's provenance object, or None if it has none. Downloads it if only the upstream has it.

        Raises `UpstreamError`, `EgressRefused` or `Busy`.
        """
        found = await select_attestation(self.pool, file.id)
        if found is None and file.provenance_url is not None:
            await self.attach(file.id)
            found = await select_attestation(self.pool, file.id)
        return found

    async def attach(self, file: FileId, *, again: bool = False) -> AttestationVerdict | None:
        """Ensure that the object that the upstream lists is stored and verified; None if there is no object.

        With `again`, a stored object is downloaded and verified again. Raises as `read` does; the stored object stays.
        """
        # `again` is part of the key: a caller that needs a new verification must not join work that skips it.
        return await self._flights.join((file, again), lambda: self._attach(file, again=again))

    async def ensure_record(self, file: File) -> None:
        """Write the PEP 710 record of a downloaded file that has none, as after a rebuild from the bucket."""
        if file.record is not None or file.stored_at is None or file.sha256 is None or file.upstream_url is None:
            return
        record = render_provenance(file.upstream_url, file.sha256)
        await write_manifest(self.bucket, replace(file, record=record), Origin.MIRRORED, record)
        async with self.pool.acquire() as connection, connection.transaction():
            await projects.lock_project(connection, file.project)
            await files.insert_provenance(connection, file.id, record)
            entry = Entry(file.version, file.filename, {"record": record})
            await journal.insert_entries(connection, SYSTEM, Event.FILE_FACTS, file.project, [entry])

    async def close(self) -> None:
        """Cancel all fetches; the next request starts them again."""
        await self._flights.close()

    async def _attach(self, file_id: FileId, *, again: bool) -> AttestationVerdict | None:
        async with self.leases.hold(f"provenance/{file_id}", LEASE, "this provenance"):
            item = await files.select_file(self.pool, file_id)
            known = await select_attestation(self.pool, file_id)
            if item is None or item.file.sha256 is None:
                return None
            file, url = item.file, item.file.provenance_url
            if known and not again and url in (None, known.url):
                return known.judgement.verdict
            if url is not None:
                body = await self.upstream.fetch_provenance(url)
            elif known is not None:
                body, url = known.object, known.url
            else:
                return None
            judgement = await self._judge(body, file, item.file.sha256)
            await write_provenance(self.bucket, item.file.sha256, body)
            await self._store(file, Attested(body, url, judgement))
            return judgement.verdict

    async def _judge(self, body: bytes, file: File, sha256: Sha256) -> Judgement:
        return await asyncio.to_thread(self.trust.judge, body, file.filename, sha256)

    async def _store(self, file: File, new: Attested) -> None:
        """Write the row, and the journal if the object or its verdict has changed."""
        judgement = new.judgement
        async with self.pool.acquire() as connection, connection.transaction():
            await projects.lock_project(connection, file.project)
            old = await select_attestation(connection, file.id)
            await upsert_attestation(connection, file.id, new.object, judgement, url=new.url)
            if old and (old.object, old.judgement.verdict) == (new.object, judgement.verdict):
                return
            detail: dict[str, object] = {
                "verdict": judgement.verdict,
                "was": old.judgement.verdict if old else None,
                "detail": judgement.detail,
                "publishers": [dict(publisher) for publisher in judgement.publishers],
            }
            entry = Entry(file.version, file.filename, detail)
            await journal.insert_entries(connection, SYSTEM, Event.ATTESTATION, file.project, [entry])
