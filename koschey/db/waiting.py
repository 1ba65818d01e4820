"""Statements on pending work: files without bytes or provenance, held or unchecked releases, pages to refresh."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db.checking import UNSEEN
from koschey.db.files import TABLES
from koschey.db.pool import Database
from koschey.db.projects import IS_ASKABLE
from koschey.model import MAIN_INDEX, FileId

LOOKED_AT = "coalesce(project.looked_at, '-infinity'::timestamptz)"
"""As in the index `project_stale`: a page that was never read comes first."""
IS_STALE = f"""
    project.origin = 'mirrored' AND {LOOKED_AT} <= koschey_now() - $1::interval
    AND project.name <> ALL ($2::text[]) AND {IS_ASKABLE}
"""
UNATTESTED = """
    file.stored_at IS NOT NULL AND file.provenance_url IS NOT NULL AND file.set_aside_at IS NULL
       AND attestation.url IS DISTINCT FROM file.provenance_url
"""
# Checks that this worker does not have come last, by their names.
SELECT_WORK = f"""
    WITH wanted AS (
        SELECT here.name, here.place FROM unnest($5::text[]) WITH ORDINALITY AS here (name, place)
         UNION ALL
        SELECT known_check.name, NULL FROM known_check WHERE known_check.name <> ALL ($5::text[])
    )
    SELECT ARRAY(
               SELECT file.id FROM {TABLES}
                WHERE project.name = $2 AND file.version = $3 AND file.id > $6
                  AND standing.state = 'held' AND file.stored_at IS NULL
                ORDER BY file.id
                LIMIT $7) AS unstored,
           EXISTS (SELECT FROM {TABLES} WHERE project.name = $2 AND file.version = $3 AND {UNATTESTED}) AS unattested,
           ARRAY(
               SELECT wanted.name FROM wanted
                WHERE EXISTS (SELECT FROM {TABLES} WHERE {UNSEEN})
                ORDER BY wanted.place NULLS LAST, wanted.name) AS checks
"""  # noqa: S608
SELECT_UNATTESTED_IDS = f"""
    SELECT file.id
      FROM file
      JOIN project ON project.id = file.project_id
      LEFT JOIN attestation ON attestation.file_id = file.id
     WHERE project.name = $1 AND file.version = $2 AND file.id > $3 AND {UNATTESTED}
     ORDER BY file.id
     LIMIT $4
"""  # noqa: S608
# A walk in the order of the files' ids costs the same at each place, however few files are held.
SELECT_HELD_FILES = """
    SELECT held.file_id, project.name, file.version
      FROM (SELECT standing.file_id FROM standing
             WHERE standing.index_id = (SELECT id FROM index WHERE name = $1)
               AND standing.state = 'held' AND standing.file_id > $2
             ORDER BY standing.file_id
             LIMIT $3) AS held
      JOIN file ON file.id = held.file_id
      JOIN project ON project.id = file.project_id
     ORDER BY held.file_id
"""
SELECT_UNCHECKED = """
    SELECT file.id
      FROM file
     WHERE file.id = ANY($1::bigint[]) AND file.stored_at IS NOT NULL
       AND EXISTS (
           SELECT FROM known_check
            WHERE NOT EXISTS (
                SELECT FROM check_run
                 WHERE check_run.file_id = file.id AND check_run.name = known_check.name
                   AND check_run.sha256 = file.sha256
                OFFSET 0))
"""
# Only the follower of the upstream reads `wanted`. This waits for no lock: a project that is being changed keeps
# its value until the next pass.
UPDATE_WANTED = """
    WITH portion AS MATERIALIZED (
        SELECT id FROM project WHERE id > $2 AND origin = 'mirrored' ORDER BY id LIMIT $3
    ), judged AS MATERIALIZED (
        SELECT portion.id, EXISTS (
               SELECT FROM file JOIN standing ON standing.file_id = file.id
                WHERE file.project_id = portion.id
                  AND (standing.state = 'held' OR standing.available_at > koschey_now() - $1::interval
                       OR EXISTS (SELECT FROM download
                                   WHERE download.file_id = file.id AND download.at > koschey_now() - $1::interval))
               OFFSET 0) AS wanted
          FROM portion
    ), free AS (
        SELECT project.id
          FROM judged
         CROSS JOIN LATERAL (SELECT id FROM project WHERE project.id = judged.id AND project.wanted <> judged.wanted
                                FOR NO KEY UPDATE SKIP LOCKED) AS project
    ), changed AS (
        UPDATE project SET wanted = NOT wanted WHERE id = ANY(ARRAY(SELECT id FROM free))
    )
    SELECT count(*) AS count, max(id) AS last FROM portion
"""
# Projects with held files, or with files that were released or downloaded recently, come before all others.
SELECT_STALE_PROJECTS = f"""
    SELECT name FROM (
        (SELECT 1 AS place, name, {LOOKED_AT} AS looked_at, id FROM project
          WHERE wanted AND {IS_STALE}
          ORDER BY {LOOKED_AT}, id LIMIT $3)
        UNION ALL
        (SELECT 2, name, {LOOKED_AT}, id FROM project
          WHERE NOT wanted AND {IS_STALE}
          ORDER BY {LOOKED_AT}, id LIMIT $3)
    ) AS stale
     ORDER BY place, looked_at, id
     LIMIT $3
"""  # noqa: S608

type Release = tuple[NormalizedName, str]


class HeldFile(NamedTuple):
    """A held file, and its release."""

    id: FileId
    project: NormalizedName
    version: str

    @property
    def release(self) -> Release:
        """The release that the file belongs to."""
        return self.project, self.version


class Work(NamedTuple):
    """What is pending for a release."""

    unstored: list[FileId]
    """The next held files whose bytes are not stored, in the order of their ids."""
    unattested: bool
    """Whether the upstream lists a provenance object of a stored file that is not stored."""
    checks: list[str]
    """Checks that have not seen every held and stored file."""


async def select_work(
    db: Database, project: NormalizedName, version: str, checks: Sequence[str], again: timedelta, after: int, limit: int
) -> Work:
    """Return the work for a release. `checks` are those of this worker; the others that are registered follow them.

    `limit` bounds the unstored files, whose ids come after `after`. A check that failed longer than `again` ago is
    pending again.
    """
    row = await db.fetchrow(SELECT_WORK, MAIN_INDEX, project, version, again, list(checks), after, limit)
    return Work([FileId(file) for file in row["unstored"]], row["unattested"], row["checks"])


async def select_unattested_ids(
    db: Database, project: NormalizedName, version: str, after: int, limit: int
) -> list[FileId]:
    """Return the next stored files of a release whose upstream lists a provenance object that is not stored."""
    rows = await db.fetch(SELECT_UNATTESTED_IDS, project, version, after, limit)
    return [FileId(row["id"]) for row in rows]


async def select_held_files(db: Database, after: int, limit: int) -> list[HeldFile]:
    """Return the next held files, in the order of their ids."""
    return [HeldFile(*row) for row in await db.fetch(SELECT_HELD_FILES, MAIN_INDEX, after, limit)]


async def select_unchecked(db: Database, held: Sequence[HeldFile]) -> set[FileId]:
    """Return those of the files that are stored, and on which a known check has never run."""
    return {FileId(row["id"]) for row in await db.fetch(SELECT_UNCHECKED, [file.id for file in held])}


async def update_wanted(db: Database, recent: timedelta, after: int, limit: int) -> int:
    """Record which of the next projects have held or recently used files. Returns the last id, 0 at the end."""
    row = await db.fetchrow(UPDATE_WANTED, recent, after, limit)
    return int(row["last"]) if row["count"] == limit else 0


async def select_stale_projects(
    db: Database, age: timedelta, without: Sequence[NormalizedName], limit: int
) -> list[NormalizedName]:
    """Return projects whose pages were not refreshed for `age`; those with held or recently used files come first."""
    return [row["name"] for row in await db.fetch(SELECT_STALE_PROJECTS, age, list(without), limit)]
