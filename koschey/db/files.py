"""Statements on `file`: the facts about a file, read together with its state in the index."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import fields, replace
from datetime import datetime
from enum import StrEnum
from operator import itemgetter
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database
from koschey.db.standings import CAUSE, STANDING, cause_columns, read_cause
from koschey.model import (
    MAIN_INDEX,
    Absence,
    AttestationVerdict,
    Damage,
    File,
    FileId,
    ProjectId,
    Sha256,
    Standing,
    StandingFile,
    State,
)

COLUMNS = """
    file.id, project.name AS project, file.version, file.filename, file.sha256, file.size, file.upload_time,
    file.first_seen_at, file.stored_at, file.requires_python, file.yanked, file.core_metadata,
    file.metadata_stored, file.upstream_url, file.path, file.absent_since, file.blake2b_256, file.md5,
    file.pkg_info, file.metadata_error, file.provenance_url, provenance.record, attestation.verdict AS attestation,
    file.damage, file.metadata_damage, file.broken_promise, file.mismatched_at, file.set_aside_at,
    standing.state, standing.reason, standing.release_at, standing.available_at, standing.counts_from,
    standing.held_until, standing.withdrawn_at, file.absence_looks, file.absence_due_at,
    standing.cause, standing.cause_subject, standing.cause_scope, standing.cause_version
"""
ENUMS: dict[str, type[StrEnum]] = {
    "attestation": AttestationVerdict,
    "damage": Damage,
    "metadata_damage": Damage,
}
"""Columns whose values are members of an enumeration in the model."""
FILE_VALUES = itemgetter(*(column.name for column in fields(File)))
STANDING_VALUES, CAUSE_VALUES = itemgetter(*STANDING), itemgetter(*CAUSE)
FIRST_STANDING = ("state", "reason", "release_at", "counts_from")
TABLES = """
    file
    JOIN project ON project.id = file.project_id
    JOIN index ON index.name = $1
    JOIN standing ON standing.index_id = index.id AND standing.file_id = file.id
    LEFT JOIN provenance ON provenance.file_id = file.id
    LEFT JOIN attestation ON attestation.file_id = file.id
"""
# The order of these joins is fixed, and each inner query has one condition and so one index: while the tables are small
# all plans cost the same, and PostgreSQL kept one that read the states of all projects. Files that are set aside come
# from the project's former origin: only their path finds them, and they stay blocked.
PROJECT_TABLES = """
    project
    JOIN index ON index.name = $1
    CROSS JOIN LATERAL (SELECT * FROM file WHERE file.project_id = project.id OFFSET 0) AS file
    CROSS JOIN LATERAL (SELECT * FROM standing
                         WHERE standing.index_id = index.id AND standing.file_id = file.id OFFSET 0) AS standing
    LEFT JOIN provenance ON provenance.file_id = file.id
    LEFT JOIN attestation ON attestation.file_id = file.id
 WHERE project.name = $2 AND file.set_aside_at IS NULL
"""
"""The tables and the condition for all files of one project."""
SELECT_PROJECT_FILES = f"SELECT {COLUMNS} FROM {PROJECT_TABLES} ORDER BY file.id"  # noqa: S608
SELECT_FILES_NAMED = f"""
    SELECT {COLUMNS} FROM {TABLES}
     WHERE file.project_id = $2 AND file.filename = ANY($3::text[]) AND file.set_aside_at IS NULL
     ORDER BY file.id
"""  # noqa: S608
LOCK_RELEASE_FILES = f"""
    SELECT {COLUMNS} FROM {TABLES}
     WHERE project.name = $2 AND ($3::text IS NULL OR file.version = $3) AND file.set_aside_at IS NULL
     ORDER BY file.id
       FOR UPDATE OF standing
"""  # noqa: S608
SELECT_FILE_BY_PATH = f"""
    SELECT {COLUMNS} FROM {TABLES} WHERE file.path = $2 ORDER BY file.set_aside_at DESC NULLS FIRST LIMIT 1
"""  # noqa: S608
SELECT_FILE = f"SELECT {COLUMNS} FROM {TABLES} WHERE file.id = $2"  # noqa: S608
SELECT_HELD_FILES = f"""
    SELECT {COLUMNS} FROM {TABLES} WHERE file.id = ANY($2::bigint[]) AND standing.state = 'held' ORDER BY file.id
"""  # noqa: S608
SELECT_USED_PATHS = "SELECT path FROM file WHERE path = ANY($1::text[]) AND set_aside_at IS NULL"
ADDED = """
    added AS (
        INSERT INTO file (project_id, version, filename, sha256, size, upload_time, requires_python, yanked,
                          core_metadata, upstream_url, path, provenance_url, blake2b_256)
        SELECT $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::text[],
                                 $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[])
        RETURNING id, filename
    ), placed AS (
        INSERT INTO standing (index_id, file_id, state, reason, release_at, counts_from, available_at,
                              cause, cause_subject, cause_scope, cause_version)
        SELECT index.id, added.id, row.state, row.reason, row.release_at, row.counts_from,
               CASE WHEN row.state = 'released' THEN koschey_now() END, row.cause, row.subject, row.scope, row.version
          FROM index, unnest($4::text[], $15::text[], $16::text[], $17::timestamptz[], $18::timestamptz[],
                             $19::text[], $20::text[], $21::text[], $22::text[])
                      AS row (filename, state, reason, release_at, counts_from, cause, subject, scope, version)
          JOIN added USING (filename)
         WHERE index.name = $1
    )
"""
"""Parts of a statement that adds files with their first states. Its first values are those of `columns_of`."""
INSERT_FILES = f"WITH {ADDED} SELECT id FROM added ORDER BY id"  # noqa: S608
UPDATE_YANKED = "UPDATE file SET yanked = $2 WHERE id = ANY($1::bigint[])"
UPDATE_LISTING = """
    UPDATE file
       SET yanked = row.yanked,
           core_metadata = coalesce(file.core_metadata, nullif(row.core_metadata, file.broken_promise)),
           upstream_url = row.upstream_url, provenance_url = row.provenance_url,
           absent_since = NULL, absence_looks = 0, absence_due_at = NULL
      FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
           AS row (file_id, yanked, core_metadata, upstream_url, provenance_url)
     WHERE file.id = row.file_id
"""
UPDATE_ABSENCES = """
    UPDATE file SET absent_since = row.since, absence_looks = row.looks, absence_due_at = row.due_at
      FROM unnest($1::bigint[], $2::timestamptz[], $3::smallint[], $4::timestamptz[]) AS row (id, since, looks, due_at)
     WHERE file.id = row.id
"""
UPDATE_STORED = """
    UPDATE file
       SET stored_at = koschey_now(), sha256 = $2, size = $3, path = coalesce(path, $4), metadata_error = NULL,
           damage = NULL, mismatched_at = NULL
     WHERE id = $1 AND stored_at IS NULL
"""
UPDATE_MISMATCHED = "UPDATE file SET mismatched_at = koschey_now() WHERE id = $1"
UPDATE_METADATA_STORED = "UPDATE file SET metadata_stored = true WHERE id = $1"
UPDATE_DIGESTS = """
    UPDATE file SET blake2b_256 = coalesce(blake2b_256, $2), md5 = coalesce(md5, $3), pkg_info = coalesce(pkg_info, $4)
     WHERE id = $1
"""
INSERT_PROVENANCE = "INSERT INTO provenance (file_id, record) VALUES ($1, $2) ON CONFLICT DO NOTHING"

PORTION = 1000
"""Number of rows that are fetched at a time if there may be very many."""


class NewFile(NamedTuple):
    """A file to be added, with its first state."""

    version: str
    filename: str
    sha256: Sha256 | None
    size: int | None
    upload_time: datetime | None
    requires_python: str | None
    yanked: str | None
    core_metadata: Sha256 | None
    upstream_url: str | None
    path: str | None
    standing: Standing
    provenance_url: str | None = None
    blake2b_256: str | None = None


class Listing(NamedTuple):
    """What an upstream's page says now of a file that already has a row."""

    id: FileId
    yanked: str | None
    core_metadata: Sha256 | None
    upstream_url: str
    provenance_url: str | None


async def select_project_files(db: Database, project: NormalizedName) -> list[StandingFile]:
    """Return all files of a project, served or not, in the order in which they were first seen."""
    return [read_file(row) for row in await select_project_rows(db, project)]


async def select_project_rows(db: Database, project: NormalizedName) -> list[Any]:
    """Return the same as rows for `read_file`, so that a caller can read very many of them in a thread."""
    rows: list[Any] = await db.fetch(SELECT_PROJECT_FILES, MAIN_INDEX, project)
    return rows


async def stream_project_files(connection: Connection, project: NormalizedName) -> AsyncIterator[StandingFile]:
    """Yield all files of a project, in the order in which they were first seen. Needs a transaction."""
    # In portions: all rows of a large project would exceed the time limit of a statement, and delay other requests.
    async for row in connection.cursor(SELECT_PROJECT_FILES, MAIN_INDEX, project, prefetch=PORTION):
        yield read_file(row)


async def select_files_named(
    connection: Connection, project: ProjectId, filenames: Sequence[str]
) -> list[StandingFile]:
    """Return the files of a project that have one of these names."""
    if not filenames:
        return []
    rows = await connection.fetch(SELECT_FILES_NAMED, MAIN_INDEX, project, list(filenames))
    return [read_file(row) for row in rows]


async def lock_release_files(
    connection: Connection, project: NormalizedName, version: str | None
) -> list[StandingFile]:
    """Lock the files of a release, or of the whole project, against other decisions, and return them."""
    return [read_file(row) for row in await connection.fetch(LOCK_RELEASE_FILES, MAIN_INDEX, project, version)]


async def select_file_by_path(db: Database, path: str) -> StandingFile | None:
    """Return the file with exactly this public path."""
    row = await db.fetchrow(SELECT_FILE_BY_PATH, MAIN_INDEX, path)
    return read_file(row) if row else None


async def select_file(db: Database, file: FileId) -> StandingFile | None:
    """Return one file by its id."""
    row = await db.fetchrow(SELECT_FILE, MAIN_INDEX, file)
    return read_file(row) if row else None


async def select_held_files(db: Database, ids: Sequence[FileId]) -> list[StandingFile]:
    """Return those of the files that are held."""
    return [read_file(row) for row in await db.fetch(SELECT_HELD_FILES, MAIN_INDEX, list(ids))]


async def select_used_paths(db: Database, paths: Sequence[str]) -> set[str]:
    """Return those of the paths that already belong to a file."""
    return {row["path"] for row in await db.fetch(SELECT_USED_PATHS, list(paths))}


async def insert_files(connection: Connection, project: ProjectId, files: Sequence[NewFile]) -> list[FileId]:
    """Add files with their first states. Returns their ids in the same order."""
    rows = await connection.fetch(INSERT_FILES, *columns_of(project, files))
    return [FileId(row["id"]) for row in rows]


def columns_of(project: ProjectId, files: Sequence[NewFile]) -> list[Any]:
    """Return the values of `ADDED`: the index, the project, and the columns of the files and of their states."""
    facts = [[getattr(file, name) for file in files] for name in NewFile._fields if name != "standing"]
    states = [[getattr(file.standing, name) for file in files] for name in FIRST_STANDING]
    causes = [[cause_columns(file.standing.cause)[place] for file in files] for place in range(len(CAUSE))]
    return [MAIN_INDEX, project, *facts, *states, *causes]


async def update_yanked(connection: Connection, files: Sequence[FileId], yanked: str | None) -> None:
    """Mark files as yanked, with the reason (PEP 592); None removes the mark."""
    await connection.execute(UPDATE_YANKED, list(files), yanked)


async def update_listings(connection: Connection, listings: Sequence[Listing]) -> None:
    """Update what may change on an upstream's page: the yank, the core metadata digest, the URLs. Ends absences."""
    await connection.execute(UPDATE_LISTING, *(list(column) for column in zip(*listings, strict=True)))


async def update_absences(connection: Connection, absent: Sequence[tuple[FileId, Absence]]) -> None:
    """Record the state of the absences of files from the upstream's page."""
    rows = [(file, absence.since, absence.looks, absence.due_at) for file, absence in absent]
    if rows:
        await connection.execute(UPDATE_ABSENCES, *map(list, zip(*rows, strict=True)))


async def update_stored(connection: Connection, file: FileId, sha256: Sha256, size: int, path: str) -> bool:
    """Record that the verified bytes are in S3. Returns False if that was already recorded."""
    return bool(await connection.execute(UPDATE_STORED, file, sha256, size, path) == "UPDATE 1")


async def update_mismatched(db: Database, file: FileId) -> None:
    """Record that the upstream sent other bytes than its page promised."""
    await db.execute(UPDATE_MISMATCHED, file)


async def update_metadata_stored(db: Database, file: FileId) -> None:
    """Record that the file's core metadata is in S3."""
    await db.execute(UPDATE_METADATA_STORED, file)


async def update_digests(
    connection: Connection,
    file: FileId,
    *,
    blake2b_256: str | None = None,
    md5: str | None = None,
    pkg_info: Sha256 | None = None,
) -> None:
    """Record digests that were computed from a file's bytes. Existing values are kept."""
    await connection.execute(UPDATE_DIGESTS, file, blake2b_256, md5, pkg_info)


async def insert_provenance(connection: Connection, file: FileId, record: str) -> None:
    """Store the PEP 710 record of a file. An existing record is not changed."""
    await connection.execute(INSERT_PROVENANCE, file, record)


def read_file(row: Any) -> StandingFile:
    """Turn a row of `COLUMNS` into a file and its `Standing`."""
    file, cause = File(*FILE_VALUES(row)), read_cause(*CAUSE_VALUES(row))
    if row["attestation"] or row["damage"] or row["metadata_damage"]:
        members: dict[str, Any] = {name: kind(row[name]) for name, kind in ENUMS.items() if row[name]}
        file = replace(file, **members)
    return StandingFile(file, Standing(State(row["state"]), cause, *STANDING_VALUES(row)))
