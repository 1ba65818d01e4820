"""Taking in an uploaded file: all of it, or nothing.

What can be refused cheaply is refused before the archive is opened. What only the database can decide is decided in the
one transaction that adds the row, and only inside it do the bytes become a blob: whoever loses a race leaves nothing.
"""

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from koschey.auth.identity import authorize
from koschey.auth.permissions import Action
from koschey.db import files, journal, projects
from koschey.db.accounts import Account
from koschey.db.files import NewFile
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Database, Pool
from koschey.db.rules import select_rules
from koschey.db.upload_switches import lock_lookalikes, select_lookalike
from koschey.errors import NotAllowed, Refused, StoreUnavailable
from koschey.inspection.inspect import Inspector
from koschey.inspection.trust import Trust
from koschey.model import (
    Actor,
    FileId,
    Origin,
    Project,
    ProjectStatus,
    Serial,
    Sha256,
    Standing,
    StandingFile,
    State,
)
from koschey.policy.rules import RuleKind
from koschey.publish.attested import check_uploaded, keep_uploaded
from koschey.publish.repair import repair
from koschey.publish.upload_rules import of_form, of_index, of_metadata
from koschey.publish.upload_rules.description import find_fault
from koschey.publish.upload_rules.of_index import Situation
from koschey.publish.upload_rules.of_metadata import Stated
from koschey.publish.upload_rules.rule import enforce
from koschey.publish.upload_rules.switches import load_switched
from koschey.standards.core_metadata import CoreMetadata, parse_core_metadata
from koschey.standards.names import digest_path
from koschey.standards.upload_claims import check_claims
from koschey.standards.upload_form import Filetype, UploadForm
from koschey.storage.manifests import write_manifest, write_provenance
from koschey.storage.s3 import CHUNK, BlobWriter, Bucket, blob_key

CLOSED = (ProjectStatus.ARCHIVED, ProjectStatus.QUARANTINED)
"""PEP 792: neither takes new files."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that has arrived, and what its uploader says of it."""

    form: UploadForm
    descriptor: int
    """The bytes, read by position."""
    size: int
    digests: Mapping[str, str]
    """Of the bytes, by the names that the form has for them."""

    @property
    def sha256(self) -> Sha256:
        """Digest of the bytes."""
        return Sha256(self.digests["sha256_digest"])


@dataclass(frozen=True, slots=True)
class Accepted:
    """A file that is served from now on."""

    filename: str
    serial: Serial | None
    """None where exactly this file was here before: nothing has changed."""
    warnings: tuple[str, ...] = ()
    """What rules would have said that this index has switched off."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What files are taken in with. One per process."""

    pool: Pool
    bucket: Bucket
    inspector: Inspector
    trust: Trust


async def accept(intake: Intake, account: Account, upload: Upload) -> Accepted:
    """Take the file in. Repeating it is harmless.

    Raises `NotAllowed` where the account may not upload to the project, and `Refused` where the file breaks a rule.
    """
    form = upload.form
    authorize(account, Action.UPLOAD, form.project)
    form.check_digests(upload.digests)
    situation = await _look(intake.pool, form)
    if _is_same(situation.files, upload):
        same = next(item.file for item in situation.files if item.file.filename == form.filename)
        await repair(intake.pool, intake.bucket, intake.inspector, same, upload.descriptor)
        return Accepted(form.filename, None)
    switched = await load_switched(intake.pool)
    warnings = [*enforce(of_form.RULES, form, switched), *enforce(of_index.RULES, situation, switched)]
    metadata = (await intake.inspector.inspect(upload.descriptor, form.filename)).metadata
    core = await asyncio.to_thread(_read, form, metadata)
    stated = Stated(core, await find_fault(core), form.filetype.metadata)
    warnings += enforce(of_metadata.RULES, stated, switched)
    attested = await _check_attestations(intake, upload)
    async with intake.bucket.writer(blob_key(upload.sha256)) as writer:
        await _copy(upload, writer)
        async with intake.pool.acquire() as connection, connection.transaction():
            addition = _Addition(connection, intake.bucket, account, upload, core, metadata, attested, switched)
            return Accepted(form.filename, await addition.make(writer), tuple(warnings))


async def _look(db: Database, form: UploadForm) -> Situation:
    """Return what is here already. Raises where the project does not take the release, whatever the file."""
    if rule := (await select_rules(db, form.project, Origin.HOSTED)).find(RuleKind.BLOCKED, str(form.version)):
        raise NotAllowed(f"{form.project} {form.version} is blocked by {rule.actor}: {rule.reason}")
    project, now = await projects.select_project(db, form.project), await projects.select_now(db)
    if project is None:
        return Situation(form, None, (), await select_lookalike(db, form.project), now)
    if project.origin is Origin.MIRRORED:
        # Not 409: poetry and PDM take that for a file that is here already, and go on.
        raise Refused(f"the name {form.project} is mirrored from the upstream; a private project cannot take it")
    if project.status in CLOSED:
        raise Refused(f"{form.project} is {project.status}: {project.status_reason or 'no reason given'}", status=403)
    return Situation(form, project, await files.select_project_files(db, form.project), None, now)


def _is_same(known: Sequence[StandingFile], upload: Upload) -> bool:
    """Tell whether one of the files is this one; a name stands for one sequence of bytes, and they for one name."""
    for item in known:
        file = item.file
        if file.filename == upload.form.filename and item.standing.state is State.REMOVED:
            raise Refused(
                "This filename was previously used by a file that has since been deleted. Use a different version."
            )
        if (file.filename == upload.form.filename) is not (file.sha256 == upload.sha256):
            # Clients that skip what exists look for exactly these first words.
            raise Refused(f"File already exists ('{file.filename}', with sha256 hash '{file.sha256}').")
        if file.filename == upload.form.filename:
            return True
    return False


def _read(form: UploadForm, metadata: bytes) -> CoreMetadata:
    """Return what the file says of itself. Raises `Refused` where its name or the form says something else."""
    core = parse_core_metadata(metadata, form.filetype.metadata)
    if core.project != form.project:
        raise Refused(f"The metadata in {form.filename} is of the project {core.project}, not {form.project}.")
    if core.version != form.version:
        raise Refused(f"The metadata in {form.filename} is of version {core.version}, not {form.version}.")
    check_claims(form.claims, core, f"the metadata in {form.filename}")
    return core


async def _check_attestations(intake: Intake, upload: Upload) -> bytes | None:
    """Return the provenance object (PEP 740) to keep, where attestations came along. Raises `Refused`."""
    if upload.form.attestations is None:
        return None
    return await check_uploaded(upload.form.attestations, upload.form.filename, upload.sha256, trust=intake.trust)


async def _copy(upload: Upload, writer: BlobWriter) -> None:
    """Give the bytes to the bucket. They are hashed again: what was on our disk meanwhile is what will be served."""
    hasher = hashlib.sha256()
    for start in range(0, upload.size, CHUNK):
        chunk = await asyncio.to_thread(os.pread, upload.descriptor, CHUNK, start)
        hasher.update(chunk)
        await writer.write(chunk)
    if hasher.hexdigest() != upload.sha256:
        raise StoreUnavailable(f"{upload.form.filename} was changed on our disk before it could be stored")


@dataclass(frozen=True, slots=True)
class _Addition:
    """The steps of the transaction in which a file begins to exist."""

    connection: Connection
    bucket: Bucket
    account: Account
    upload: Upload
    core: CoreMetadata
    metadata: bytes
    """The bytes that `core` was read from."""
    attested: bytes | None
    """The provenance object (PEP 740)."""
    switched: Mapping[str, bool]

    async def make(self, writer: BlobWriter) -> Serial | None:
        """Add the file; None where somebody else has added the same meanwhile."""
        form = self.upload.form
        project = await self._begin()
        if project is None:
            return None
        await writer.commit()
        if await self.bucket.size_of(blob_key(self.upload.sha256)) != self.upload.size:
            raise StoreUnavailable(f"the bucket did not keep {form.filename}")
        file = await self._insert(project, await self._store_metadata())
        await projects.update_summary(self.connection, form.project, self.core.summary)
        detail: dict[str, object] = {"state": State.RELEASED, "sha256": self.upload.sha256, "size": self.upload.size}
        # The last statement: its lock makes all other writers wait.
        return await journal.insert_entries(
            self.connection,
            Actor(self.account.name, "upload"),
            "add file",
            form.project,
            [Entry(file.file.version, form.filename, detail)],
        )

    async def _begin(self) -> Project | None:
        """Lock the project and judge again, now that nobody else can change it; None where the file is here."""
        form = self.upload.form
        await lock_lookalikes(self.connection, form.project)
        is_new = await projects.insert_project(self.connection, form.project, self.core.name, Origin.HOSTED)
        project = await projects.lock_project(self.connection, form.project)
        situation = await _look(self.connection, form)
        if _is_same(situation.files, self.upload):
            return None
        if is_new:
            lookalike = await select_lookalike(self.connection, form.project)
            situation = replace(situation, project=None, lookalike=lookalike)
        enforce(of_index.RULES, situation, self.switched)
        return project

    async def _store_metadata(self) -> Sha256:
        digest = Sha256(hashlib.sha256(self.metadata).hexdigest())
        await self.bucket.put(blob_key(digest), self.metadata)
        return digest

    async def _insert(self, project: Project, metadata: Sha256) -> StandingFile:
        upload, form = self.upload, self.upload.form
        is_wheel = form.filetype is Filetype.WHEEL
        path = digest_path(upload.digests["blake2_256_digest"], form.filename)
        new = NewFile(
            version=str(form.version),
            filename=form.filename,
            sha256=upload.sha256,
            size=upload.size,
            upload_time=await projects.select_now(self.connection),
            requires_python=self.core.requires_python,
            yanked=None,
            # PEP 658 for wheels only: what an sdist says may change when it is built.
            core_metadata=metadata if is_wheel else None,
            upstream_url=None,
            path=path,
            standing=Standing(State.RELEASED, f"uploaded by {self.account.name}", None, None),
        )
        file: FileId = (await files.insert_files(self.connection, project.id, [new]))[0]
        await files.update_stored(self.connection, file, upload.sha256, upload.size, path)
        if is_wheel:
            await files.update_metadata_stored(self.connection, file)
        await files.update_digests(
            self.connection,
            file,
            blake2b_256=upload.digests["blake2_256_digest"],
            md5=upload.digests["md5_digest"],
            pkg_info=None if is_wheel else metadata,
        )
        if self.attested is not None:
            await keep_uploaded(self.connection, file, self.attested)
            await write_provenance(self.bucket, upload.sha256, self.attested)
        inserted = await files.select_file(self.connection, file)
        assert inserted is not None
        await write_manifest(self.bucket, inserted.file, Origin.HOSTED, None)
        return inserted
