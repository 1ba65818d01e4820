"""Statements on core metadata that Koschey reads from wheels: which wheels lack it, and what was found."""

from collections.abc import Sequence
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db import journal
from koschey.db.files import COLUMNS, TABLES, read_file
from koschey.db.journal import Entry
from koschey.db.pool import Connection, Database
from koschey.events import Event
from koschey.model import MAIN_INDEX, SYSTEM, File, FileId, Sha256

SELECT_UNDESCRIBED = f"""
    SELECT {COLUMNS} FROM {TABLES}
     WHERE project.name = $2 AND file.filename LIKE '%.whl' AND file.core_metadata IS NULL
       AND file.metadata_error IS NULL AND file.upstream_url IS NOT NULL
       AND standing.state IN ('held', 'released')
     ORDER BY file.upload_time DESC NULLS LAST, file.id DESC
     LIMIT $3
"""  # noqa: S608
UPDATE_DESCRIBED = """
    UPDATE file SET core_metadata = row.core_metadata, metadata_error = row.error,
                    metadata_stored = row.core_metadata IS NOT NULL
      FROM unnest($1::bigint[], $2::text[], $3::text[]) AS row (file_id, core_metadata, error)
     WHERE file.id = row.file_id AND file.core_metadata IS NULL
    RETURNING file.id
"""
UPDATE_PROMISE_STORED = "UPDATE file SET metadata_stored = true WHERE id = $1 AND core_metadata = $2"
# Stored metadata may have been served. It then binds the wheel, and is not replaced.
UPDATE_PROMISE = """
    UPDATE file SET core_metadata = $3, metadata_error = $4, broken_promise = $2,
                    metadata_stored = $3::text IS NOT NULL
     WHERE id = $1 AND core_metadata = $2 AND NOT metadata_stored
"""


class DescribedWheel(NamedTuple):
    """A wheel in which Koschey looked for METADATA."""

    wheel: File
    core_metadata: Sha256 | None
    """Digest of the METADATA that was found and stored; None if there is none."""
    error: str | None
    """Why nothing was found."""


async def select_undescribed(db: Database, project: NormalizedName, limit: int) -> list[File]:
    """Return held or released wheels of a mirrored project that have no core metadata, the newest first."""
    return [read_file(row).file for row in await db.fetch(SELECT_UNDESCRIBED, MAIN_INDEX, project, limit)]


async def update_described(connection: Connection, found: Sequence[DescribedWheel]) -> set[FileId]:
    """Record what was found. Returns the ids of the files that had no core metadata before."""
    rows = await connection.fetch(
        UPDATE_DESCRIBED,
        [one.wheel.id for one in found],
        [one.core_metadata for one in found],
        [one.error for one in found],
    )
    return {FileId(row["id"]) for row in rows}


async def update_promise_stored(db: Database, file: FileId, promised: Sha256) -> bool:
    """Record that promised core metadata is in S3. Returns False if the file lists another digest by now."""
    return bool(await db.execute(UPDATE_PROMISE_STORED, file, promised) == "UPDATE 1")


async def replace_promise(
    connection: Connection, file: File, promised: Sha256, found: Sha256 | None, error: str | None
) -> bool:
    """Replace core metadata that the upstream promised and does not have by that of the wheel itself, or by nothing.

    `found` is the digest of METADATA that is already stored; `error` says why there is none. Called at the end of a
    transaction that holds the lock on the project. Returns False, and changes nothing, if the promised metadata was
    stored or replaced meanwhile.
    """
    done = await connection.execute(UPDATE_PROMISE, file.id, promised, found, error)
    if done != "UPDATE 1":
        return False
    detail: dict[str, object] = {"promised": promised, "core_metadata": found, "reason": error}
    entry = Entry(file.version, file.filename, detail)
    await journal.insert_entries(connection, SYSTEM, Event.CORE_METADATA, file.project, [entry])
    return True
