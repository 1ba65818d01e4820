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
SELECT_HELD_RELEASES = """
    SELECT DISTINCT project.name, file.version
      FROM standing
      JOIN index ON index.id = standing.index_id AND index.name = $1
      JOIN file ON file.id = standing.file_id
      JOIN project ON project.id = file.project_id
     WHERE standing.state = 'held' AND (project.name, file.version) > ($2, $3)
     ORDER BY project.name, file.version
     LIMIT $4
"""
SELECT_UNCHECKED_RELEASES = """
    SELECT DISTINCT project.name, file.version
      FROM standing
      JOIN index ON index.id = standing.index_id AND index.name = $1
      JOIN file ON file.id = standing.file_id
      JOIN project ON project.id = file.project_id
     WHERE standing.state = 'held' AND file.stored_at IS NOT NULL
       AND EXISTS (
           SELECT FROM known_check
            WHERE NOT EXISTS (
                SELECT FROM check_run
                 WHERE check_run.file_id = file.id AND check_run.name = known_check.name
                   AND check_run.sha256 = file.sha256))
     ORDER BY project.name, file.version
     LIMIT $2
"""
# Projects with held files, or with files that were released or downloaded recently, come before all others.
SELECT_STALE_PROJECTS = f"""
    SELECT project.name
      FROM project
      LEFT JOIN LATERAL (
          SELECT bool_or(standing.state = 'held' OR standing.available_at > koschey_now() - $2::interval
                         OR EXISTS (SELECT FROM download
                                     WHERE download.file_id = file.id
                                       AND download.at > koschey_now() - $2::interval)) AS wanted
            FROM file JOIN standing ON standing.file_id = file.id
           WHERE file.project_id = project.id
      ) AS files ON true
     WHERE project.origin = 'mirrored'
       AND (project.looked_at IS NULL OR project.looked_at <= koschey_now() - $1::interval)
       AND project.name <> ALL ($3::text[]) AND {IS_ASKABLE}
     ORDER BY coalesce(files.wanted, false) DESC, project.looked_at NULLS FIRST, project.id
     LIMIT $4
"""  # noqa: S608

type Release = tuple[NormalizedName, str]


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


async def select_held_releases(db: Database, after: Release, limit: int) -> list[Release]:
    """Return the next releases that have a held file, in the order of names and versions."""
    rows = await db.fetch(SELECT_HELD_RELEASES, MAIN_INDEX, *after, limit)
    return [(row["name"], row["version"]) for row in rows]


async def select_unchecked_releases(db: Database, limit: int) -> list[Release]:
    """Return releases with held, stored files on which a known check has never run."""
    rows = await db.fetch(SELECT_UNCHECKED_RELEASES, MAIN_INDEX, limit)
    return [(row["name"], row["version"]) for row in rows]


async def select_stale_projects(
    db: Database, age: timedelta, recent: timedelta, without: Sequence[NormalizedName], limit: int
) -> list[NormalizedName]:
    """Return projects whose pages were not refreshed for `age`; those with held or recently used files come first."""
    rows = await db.fetch(SELECT_STALE_PROJECTS, age, recent, list(without), limit)
    return [row["name"] for row in rows]
