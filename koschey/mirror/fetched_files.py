"""Writes the rows of a downloaded file at once, after its bytes are verified and in the bucket.

Koschey reads a wheel's METADATA from these bytes. It blocks the file if the upstream serves other core metadata beside
it (PEP 658), if this index has served other core metadata, or if core metadata is promised but the wheel's METADATA
cannot be read: a resolver would see other dependencies than are installed. If the page promised no core metadata, or
core metadata that the upstream does not have, the index lists the wheel's own METADATA from now on.
"""

import hashlib
from dataclasses import dataclass, replace

from koschey.causes import BY_ARCHIVE, Grounds
from koschey.concurrency.waiting import all_done
from koschey.db import described, files, journal, projects, standings
from koschey.db.damage import StoredPart
from koschey.db.described import DescribedWheel
from koschey.db.fetches import write_changed, write_stored
from koschey.db.journal import Entry
from koschey.db.leases import Lease
from koschey.db.outbox import insert_message
from koschey.db.pool import Connection, Pool
from koschey.db.record import Record
from koschey.errors import UpstreamMalformed
from koschey.events import Event
from koschey.mirror.leases import Holding
from koschey.model import SYSTEM, File, Origin, Sha256, StandingFile, State
from koschey.outbox import ProvenanceWanted
from koschey.standards.names import digest_path
from koschey.standards.provenance import render_provenance
from koschey.storage.manifests import write_manifest
from koschey.storage.s3 import Bucket, blob_key


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file whose bytes have arrived and are verified."""

    file: File
    """The file with the SHA-256 and the size of these bytes."""
    url: str
    """The URL that sent the bytes, after all redirects."""
    metadata: bytes | None = None
    """METADATA of a wheel, if it could be read."""
    metadata_error: str | None = None
    """Why the METADATA of a wheel could not be read."""
    broken_promise: Sha256 | None = None
    """Digest of other core metadata that the page promised but the upstream does not have."""

    @property
    def core_metadata(self) -> Sha256 | None:
        """SHA-256 of the METADATA."""
        return Sha256(hashlib.sha256(self.metadata).hexdigest()) if self.metadata is not None else None

    @property
    def path(self) -> str:
        """The public path."""
        assert self.file.sha256 is not None
        return self.file.path or digest_path(self.file.sha256, self.file.filename)

    @property
    def record(self) -> str:
        """The PEP 710 record."""
        assert self.file.sha256 is not None
        return render_provenance(self.url, self.file.sha256)


async def put_descriptions(bucket: Bucket, fetched: Fetched) -> None:
    """Store the METADATA and the manifest beside the blob. Raises `StoreUnavailable`."""
    file = fetched.file
    promised = None if fetched.broken_promise else file.core_metadata
    shown = replace(file, path=fetched.path, core_metadata=promised or fetched.core_metadata)
    await all_done(_put_metadata(bucket, fetched), write_manifest(bucket, shown, Origin.MIRRORED, fetched.record))


async def store_fetched(pool: Pool, fetched: Fetched, holding: Holding[File]) -> File:
    """Write the rows of a file whose objects are all in the bucket. From now on the file is served from there.

    `holding` is the lease of the download, with the row from its beginning. If the bytes are what that row says, one
    statement records them and releases the lease.

    Raises `UpstreamMalformed` if the wheel does not contain the METADATA that the page promised; the bytes are then
    kept and the file is blocked.
    """
    if _is_as_listed(holding.found, fetched):
        stored = await write_stored(pool, holding.found, fetched.core_metadata, fetched.record, holding.lease)
        if stored is not None:
            holding.is_released = True
            return stored
    return await _write_changed(pool, fetched, holding)


def _is_as_listed(known: File, fetched: Fetched) -> bool:
    """Return whether the bytes change no fact about the file but that they are stored, and nothing about its state."""
    file = fetched.file
    is_described = known.core_metadata == fetched.core_metadata and fetched.metadata_error is None
    has_facts = known.path is not None and (known.sha256, known.size) == (file.sha256, file.size)
    return has_facts and is_described and known.damage is None


async def _write_changed(pool: Pool, fetched: Fetched, holding: Holding[File]) -> File:
    """Record a file of which a fact has changed: with a serial, and perhaps with another state."""
    file = fetched.file
    async with pool.acquire() as connection, connection.transaction():
        # All transactions lock in this order: project, files, journal.
        await projects.lock_project(connection, file.project)
        before = await files.select_file(connection, file.id)
        assert before is not None
        changes = Record(connection, SYSTEM, file.project)
        refused = await _FetchTransaction(connection, fetched, before, changes).write(holding.lease)
        if await changes.write() is None:
            # The page has the PEP 710 record from now on.
            await journal.notify(connection, file.project)
    holding.is_released = True
    stored = await files.select_file(pool, file.id)
    assert stored is not None
    if refused:
        raise UpstreamMalformed(refused)
    return stored.file


async def _put_metadata(bucket: Bucket, fetched: Fetched) -> None:
    """Store the METADATA of a wheel, unless the core metadata that the page lists is stored."""
    file, digest = fetched.file, fetched.core_metadata
    if fetched.metadata is not None and digest is not None and not (file.metadata_stored and file.core_metadata):
        await bucket.put(blob_key(digest), fetched.metadata)


@dataclass(frozen=True, slots=True)
class _FetchTransaction:
    """The steps of the transaction that records a downloaded file."""

    connection: Connection
    fetched: Fetched
    before: StandingFile
    record: Record

    async def write(self, lease: Lease) -> str | None:
        """Write all rows. Returns why the METADATA blocks the file, or None if it does not."""
        file, known, path = self.fetched.file, self.before.file, self.fetched.path
        await write_changed(self.connection, file, path, self.fetched.record, lease)
        if known.provenance_url:
            await insert_message(self.connection, ProvenanceWanted(file.project, file.version))
        refused = await self._compare_metadata()
        if known.damage is not None:
            self._record(Event.REPAIRED, {"part": StoredPart.FILE})
        if (known.sha256, known.size, known.path) != (file.sha256, file.size, path):
            facts: dict[str, object] = {"sha256": file.sha256, "size": file.size}
            # If the digest is right, a wrong size on the page is recorded but does not block the file.
            is_corrected = known.size not in (None, file.size)
            self._record(Event.FILE_FACTS, facts | ({"listed_size": known.size} if is_corrected else {}))
        return refused

    async def _compare_metadata(self) -> str | None:
        file, promised, found = self.fetched.file, self.before.file.core_metadata, self.fetched.core_metadata
        if promised is None:
            if found or self.fetched.metadata_error:
                await described.update_described(
                    self.connection, [DescribedWheel(file, found, self.fetched.metadata_error)]
                )
            if found:
                self._record(Event.CORE_METADATA, {"core_metadata": found})
        elif found == promised:
            await files.update_metadata_stored(self.connection, file.id)
        elif promised != self.fetched.broken_promise or not await self._replace(promised):
            # Unreadable METADATA counts as different: a wheel that only some tools can read must not escape the check.
            other = f"has sha256 {found}" if found else f"cannot be read ({self.fetched.metadata_error})"
            return await self._block(
                f"METADATA in {file.filename} {other}, but its page promised core metadata with sha256 {promised}; "
                "installers would resolve other dependencies than they install"
            )
        return None

    async def _replace(self, promised: Sha256) -> bool:
        """List the wheel's own METADATA, unless a client may have received other core metadata."""
        file, found, error = self.fetched.file, self.fetched.core_metadata, self.fetched.metadata_error
        return await described.replace_promise(self.connection, file, promised, found, error)

    async def _block(self, reason: str) -> str:
        file = self.fetched.file
        if self.before.standing.state in (State.HELD, State.RELEASED):
            await standings.update_states(self.connection, [file.id], State.BLOCKED, Grounds(BY_ARCHIVE, reason))
            self._record(Event.BLOCKED, {"reason": reason})
        return reason

    def _record(self, event: Event, detail: dict[str, object]) -> None:
        file = self.fetched.file
        self.record.add(event, [Entry(file.version, file.filename, detail)])
