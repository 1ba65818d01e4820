"""Statements on `attestation`: the provenance object of a file (PEP 740), byte for byte, and its verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database
from koschey.model import AttestationVerdict, FileId
from koschey.standards.attestations import Judgement

SELECT_ATTESTATION = "SELECT object, url, verdict, detail, publishers FROM attestation WHERE file_id = $1"
UPSERT_ATTESTATION = """
    INSERT INTO attestation (file_id, object, url, verdict, detail, publishers) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (file_id) DO UPDATE
       SET object = excluded.object, url = excluded.url, verdict = excluded.verdict, detail = excluded.detail,
           publishers = excluded.publishers, checked_at = koschey_now()
"""
SELECT_FILE_ID = """
    SELECT file.id FROM file JOIN project ON project.id = file.project_id
     WHERE project.name = $1 AND filename = $2
     ORDER BY file.set_aside_at DESC NULLS FIRST LIMIT 1
"""
SELECT_STORED_IDS = """
    SELECT file.id FROM file JOIN project ON project.id = file.project_id
     WHERE project.name = $1 AND file.version = $2 AND file.stored_at IS NOT NULL AND file.set_aside_at IS NULL
     ORDER BY file.id
"""
SELECT_VERSIONS = """
    SELECT DISTINCT file.version FROM file JOIN project ON project.id = file.project_id
     WHERE project.name = $1 AND ($2::text IS NULL OR file.version = $2) AND file.stored_at IS NOT NULL
       AND file.set_aside_at IS NULL
     ORDER BY file.version
"""


@dataclass(frozen=True, slots=True)
class Attested:
    """A stored provenance object."""

    object: bytes
    url: str | None
    """The URL at which the upstream serves it; None if it came with an upload."""
    judgement: Judgement


async def select_attestation(db: Database, file: FileId) -> Attested | None:
    """Return a file's provenance object and the result of its verification."""
    row = await db.fetchrow(SELECT_ATTESTATION, file)
    if row is None:
        return None
    judgement = Judgement(AttestationVerdict(row["verdict"]), row["detail"], row["publishers"])
    return Attested(bytes(row["object"]), row["url"], judgement)


async def upsert_attestation(
    connection: Connection, file: FileId, body: bytes, judgement: Judgement, *, url: str | None
) -> None:
    """Store a provenance object, in place of an earlier one. The caller writes the journal."""
    publishers = [dict(publisher) for publisher in judgement.publishers]
    await connection.execute(UPSERT_ATTESTATION, file, body, url, judgement.verdict, judgement.detail, publishers)


async def select_file_id(db: Database, project: NormalizedName, filename: str) -> FileId | None:
    """Return the id of the file of that name in a project; one that is not set aside comes first."""
    found = await db.fetchval(SELECT_FILE_ID, project, filename)
    return None if found is None else FileId(found)


async def select_stored_ids(db: Database, project: NormalizedName, version: str) -> list[FileId]:
    """Return the ids of the files of a release whose bytes are stored."""
    return [FileId(row["id"]) for row in await db.fetch(SELECT_STORED_IDS, project, version)]


async def select_stored_versions(db: Database, project: NormalizedName, version: str | None) -> Sequence[str]:
    """Return the versions of a project that have a stored file; with `version` only that one."""
    return [row["version"] for row in await db.fetch(SELECT_VERSIONS, project, version)]
