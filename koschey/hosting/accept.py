"""Accepts an uploaded file: all of it, or nothing.

Cheap checks come before the archive is opened. Then the bytes, METADATA, the provenance object and the manifest are
stored in the bucket and verified. Finally, one short transaction checks the rules again and adds the rows.
`pending_uploads` deletes the objects of an upload whose rows are not added.
"""

import asyncio
import hashlib
from dataclasses import dataclass

import structlog

from koschey.accounts import Account
from koschey.auth.authorization import authorize
from koschey.auth.permissions import Action
from koschey.db.pending_uploads import PendingUpload
from koschey.db.pool import LOST, Pool
from koschey.errors import Refused
from koschey.hosting.attested_uploads import check_uploaded
from koschey.hosting.pending_uploads import pending
from koschey.hosting.repair import repair
from koschey.hosting.upload import Upload, check_used_name, is_known, select_situation
from koschey.hosting.upload_rules import archive_rules, form_rules, index_rules, metadata_rules
from koschey.hosting.upload_rules.description import find_fault
from koschey.hosting.upload_rules.index_rules import Situation
from koschey.hosting.upload_rules.metadata_rules import Stated
from koschey.hosting.upload_rules.rule import enforce
from koschey.hosting.upload_rules.switches import load_switched
from koschey.hosting.upload_transaction import Addition
from koschey.inspection.attestations.trust import Trust
from koschey.inspection.sandbox.inspector import Inspector
from koschey.model import File, FileId, Origin, Serial, Sha256
from koschey.standards.core_metadata import CoreMetadata, parse_core_metadata
from koschey.standards.names import digest_path
from koschey.standards.upload_claims import check_claims
from koschey.standards.upload_form import Filetype, UploadForm
from koschey.storage.manifests import render_manifest
from koschey.storage.s3 import blob_key, manifest_key, provenance_key
from koschey.storage.spooled import SpooledFile, UploadStore

log = structlog.get_logger()

PATIENCE = 30.0
"""Seconds to wait for a connection, after all bytes have been stored."""
RETRIES = (1.0, 3.0)
"""Seconds before each retry of the transaction. Without a retry, the client would have to send all bytes again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A file that is served from now on."""

    filename: str
    serial: Serial | None
    """None if exactly this file was here before: nothing has changed."""
    warnings: tuple[str, ...] = ()
    """The faults under upload rules that are off."""


@dataclass(frozen=True, slots=True)
class UploadIntake:
    """The resources with which files are accepted. One per process."""

    pool: Pool
    store: UploadStore
    inspector: Inspector
    trust: Trust


async def accept(intake: UploadIntake, account: Account, upload: Upload) -> Accepted:
    """Accept the file. Repeating it is harmless.

    Raises `NotAllowed` if the account may not upload to the project, `Refused` if the file breaks a rule, and `Busy` or
    `StoreUnavailable` if it cannot be stored now.
    """
    form = upload.form
    authorize(account, Action.UPLOAD, form.project)
    form.check_digests(upload.digests)
    situation = await select_situation(intake.pool, form)
    if is_known(situation.files, upload):
        same = next(item.file for item in situation.files if item.file.filename == form.filename)
        await repair(intake.pool, intake.store.bucket, intake.inspector, same, upload.descriptor)
        return Accepted(form.filename, None)
    await check_used_name(intake.pool, upload)
    switched = await load_switched(intake.pool)
    warnings = [*enforce(form_rules.RULES, form, switched), *enforce(index_rules.RULES, situation, switched)]
    inspected = await intake.inspector.inspect(upload.descriptor, form.filename)
    warnings += enforce(archive_rules.RULES, inspected.faults, switched)
    metadata = inspected.metadata
    core = await asyncio.to_thread(_read, form, metadata)
    stated = Stated(core, await find_fault(core), form.filetype.metadata)
    warnings += await asyncio.to_thread(enforce, metadata_rules.RULES, stated, switched)
    attested = await _check_attestations(intake, upload)
    facts = _facts(upload, core, metadata, situation)
    addition = Addition(account, upload, core, facts, attested, switched)
    serial = await _store(intake, addition, metadata)
    return Accepted(form.filename, serial, tuple(warnings))


def _read(form: UploadForm, metadata: bytes) -> CoreMetadata:
    """Return the metadata in the file. Raises `Refused` if the filename or the form contradicts it."""
    core = parse_core_metadata(metadata, form.filetype.metadata)
    if core.project != form.project:
        raise Refused(f"The metadata in {form.filename} is of the project {core.project}, not {form.project}.")
    if core.version != form.version:
        raise Refused(f"The metadata in {form.filename} is of version {core.version}, not {form.version}.")
    check_claims(form.claims, core, f"the metadata in {form.filename}")
    return core


async def _check_attestations(intake: UploadIntake, upload: Upload) -> bytes | None:
    """Return the provenance object (PEP 740) to store, if attestations were uploaded. Raises `Refused`."""
    if upload.form.attestations is None:
        return None
    return await check_uploaded(upload.form.attestations, upload.form.filename, upload.sha256, trust=intake.trust)


def _facts(upload: Upload, core: CoreMetadata, metadata: bytes, situation: Situation) -> File:
    form, digest = upload.form, Sha256(hashlib.sha256(metadata).hexdigest())
    is_wheel = form.filetype is Filetype.WHEEL
    return File(
        id=FileId(0),
        project=form.project,
        version=str(form.version),
        filename=form.filename,
        sha256=upload.sha256,
        size=upload.size,
        upload_time=situation.now,
        first_seen_at=situation.now,
        stored_at=situation.now,
        requires_python=core.requires_python,
        yanked=None,
        # PEP 658 is for wheels only: the metadata of an sdist may change when it is built.
        core_metadata=digest if is_wheel else None,
        metadata_stored=is_wheel,
        upstream_url=None,
        path=digest_path(upload.digests["blake2_256_digest"], form.filename),
        absent_since=None,
        blake2b_256=upload.digests["blake2_256_digest"],
        md5=upload.digests["md5_digest"],
        pkg_info=None if is_wheel else digest,
    )


async def _store(intake: UploadIntake, addition: Addition, metadata: bytes) -> Serial | None:
    """Store the objects, then add the rows; None if the file has been added meanwhile."""
    upload, facts = addition.upload, addition.facts
    digest = facts.core_metadata or facts.pkg_info
    assert digest is not None
    async with pending(intake.pool, intake.store, upload.sha256, digest, facts.project) as begun:
        # While this upload waited for another one of the same bytes, that one may have added the file.
        if is_known((await select_situation(intake.pool, upload.form)).files, upload):
            return None
        await intake.store.put_file(SpooledFile(upload.descriptor, upload.size, upload.sha256))
        await intake.store.put(blob_key(digest), metadata)
        if addition.attested is not None:
            await intake.store.put(provenance_key(upload.sha256), addition.attested)
        await intake.store.put(manifest_key(upload.sha256), render_manifest(facts, Origin.HOSTED, None))
        return await _add(intake.pool, addition, begun)


async def _add(pool: Pool, addition: Addition, begun: PendingUpload) -> Serial | None:
    """Run the transaction, a second and a third time if PostgreSQL could not finish it.

    If it was committed but the answer was lost, the next try finds the file.
    """
    for seconds in (*RETRIES, None):
        try:
            async with pool.acquire(timeout=PATIENCE) as connection, connection.transaction():
                return await addition.write(connection, begun)
        except LOST as error:
            if seconds is None:
                raise
            log.warning("the rows of an upload are written again", filename=addition.facts.filename, error=repr(error))
            await asyncio.sleep(seconds)
    raise AssertionError("the last try returns or raises")
