"""Taking in an uploaded file: all of it, or nothing.

What can be refused cheaply is refused before the archive is opened. What only the database can decide is decided in the
one transaction that adds the row, and only inside it do the bytes become a blob: whoever loses a race leaves nothing.
"""

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from koschey.auth.identity import authorize
from koschey.auth.permissions import Action
from koschey.db import files, journal, projects
from koschey.db.accounts import Account
from koschey.db.decisions import select_rules
from koschey.db.files import NewFile
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Database, Pool
from koschey.errors import NotAllowed, Refused, StoreUnavailable
from koschey.inspection.inspect import Inspected, Inspector
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
from koschey.standards.names import digest_path
from koschey.standards.upload_form import Filetype, UploadForm
from koschey.storage.manifests import write_manifest
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


async def accept(pool: Pool, bucket: Bucket, inspector: Inspector, account: Account, upload: Upload) -> Accepted:
    """Take the file in. Repeating it is harmless.

    Raises `NotAllowed` where the account may not upload to the project, and `Refused` where the file breaks a rule.
    """
    form = upload.form
    authorize(account, Action.UPLOAD, form.project)
    form.check_digests(upload.digests)
    if await _is_here(pool, await projects.select_project(pool, form.project), upload):
        return Accepted(form.filename, None)
    inspected = await inspector.inspect(upload.descriptor, form.filename)
    _compare(form, inspected)
    async with bucket.writer(blob_key(upload.sha256)) as writer:
        await _copy(upload, writer)
        async with pool.acquire() as connection, connection.transaction():
            addition = _Addition(connection, bucket, account, upload, inspected)
            return Accepted(form.filename, await addition.make(writer))


async def _is_here(db: Database, project: Project | None, upload: Upload) -> bool:
    """Tell whether exactly this file is here already. Raises where the project does not take it."""
    form, version = upload.form, str(upload.form.version)
    if rule := (await select_rules(db, form.project)).find(RuleKind.BLOCKED, version):
        raise NotAllowed(f"{form.project} {version} is blocked by {rule.actor}: {rule.reason}")
    if project is None:
        return False
    if project.origin is Origin.MIRRORED:
        raise Refused(f"the name {form.project} is mirrored from the upstream; a private project cannot take it")
    if project.status in CLOSED:
        raise Refused(f"{form.project} is {project.status}: {project.status_reason or 'no reason given'}", status=403)
    return _is_same(await files.select_project_files(db, form.project), upload)


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


def _compare(form: UploadForm, inspected: Inspected) -> None:
    """Refuse a form and a filename that say something else than the metadata inside."""
    if inspected.project != form.project:
        raise Refused(f"The metadata in {form.filename} is of the project {inspected.project}, not {form.project}.")
    if inspected.version != form.version:
        raise Refused(f"The metadata in {form.filename} is of version {inspected.version}, not {form.version}.")


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
    inspected: Inspected

    async def make(self, writer: BlobWriter) -> Serial | None:
        """Add the file; None where somebody else has added the same meanwhile."""
        form = self.upload.form
        await projects.insert_project(self.connection, form.project, form.display_name, Origin.HOSTED)
        project = await projects.lock_project(self.connection, form.project)
        assert project is not None
        if await _is_here(self.connection, project, self.upload):
            return None
        await writer.commit()
        if await self.bucket.size_of(blob_key(self.upload.sha256)) != self.upload.size:
            raise StoreUnavailable(f"the bucket did not keep {form.filename}")
        file = await self._insert(project, await self._store_metadata())
        detail: dict[str, object] = {"state": State.RELEASED, "sha256": self.upload.sha256, "size": self.upload.size}
        # The last statement: its lock makes all other writers wait.
        return await journal.insert_entries(
            self.connection,
            Actor(self.account.name, "upload"),
            "add file",
            form.project,
            [Entry(file.file.version, form.filename, detail)],
        )

    async def _store_metadata(self) -> Sha256:
        body = self.inspected.metadata
        digest = Sha256(hashlib.sha256(body).hexdigest())
        await self.bucket.put(blob_key(digest), body)
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
            requires_python=self.inspected.requires_python,
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
        inserted = await files.select_file(self.connection, file)
        assert inserted is not None
        await write_manifest(self.bucket, inserted.file, Origin.HOSTED, None)
        return inserted
