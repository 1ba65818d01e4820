"""Statements for lists of the whole index: its newest projects and releases, and its largest projects."""

from datetime import datetime
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Database, Pool, extend_limit
from koschey.model import MAIN_INDEX

WINDOW = 2000
"""Number of newest files among which the newest releases are searched."""
STATISTICS_TIMEOUT = 60.0
"""Maximum seconds for a sum over all files."""

# PostgreSQL reads projects in the order of the index `debut_newest`, and checks one by one whether they are served. It
# might plan EXISTS as a join with all of them.
SELECT_NEWEST_PROJECTS = """
    SELECT project.name, NULL AS version, project.summary, debut.at
      FROM debut
      JOIN LATERAL (SELECT name, summary FROM project WHERE project.id = debut.project_id OFFSET 0) AS project ON true
     WHERE debut.index_id = (SELECT id FROM index WHERE name = $1)
       AND (SELECT true FROM served_file
             WHERE served_file.index_id = debut.index_id AND served_file.project_id = debut.project_id LIMIT 1)
     ORDER BY debut.at DESC, debut.project_id DESC
     LIMIT $2
"""
# A release is as new as its first served file: another file does not make it new.
SELECT_NEWEST_RELEASES = """
    WITH newest AS (
        SELECT standing.index_id, standing.file_id
          FROM standing
         WHERE standing.index_id = (SELECT id FROM index WHERE name = $1) AND standing.state = 'released'
         ORDER BY standing.available_at DESC, standing.file_id DESC
         LIMIT $3
    ), release AS (
        SELECT DISTINCT newest.index_id, file.project_id, file.version
          FROM newest JOIN file ON file.id = newest.file_id
    )
    SELECT project.name, release.version, project.summary, served.at
      FROM release
      JOIN LATERAL (SELECT name, summary FROM project WHERE project.id = release.project_id OFFSET 0) AS project ON true
      JOIN LATERAL (
               SELECT min(served_file.available_at) AS at, min(served_file.upload_time) AS uploaded_at
                 FROM (SELECT id FROM file
                        WHERE file.project_id = release.project_id AND file.version = release.version OFFSET 0) AS one
                 JOIN LATERAL (
                          SELECT available_at, upload_time FROM served_file
                           WHERE served_file.index_id = release.index_id AND served_file.file_id = one.id OFFSET 0
                      ) AS served_file ON true
           ) AS served ON served.at IS NOT NULL
     ORDER BY served.at DESC, served.uploaded_at DESC NULLS LAST, project.name, release.version
     LIMIT $2
"""
SELECT_SIZES = """
    SELECT project AS name, sum(size)::bigint AS size, (sum(sum(size)) OVER ())::bigint AS total
      FROM served_file
     WHERE index_id = (SELECT id FROM index WHERE name = $1)
     GROUP BY project_id, project
     ORDER BY 2 DESC NULLS LAST, 1
     LIMIT $2
"""


class Novelty(NamedTuple):
    """A project or a release, and when the index began to serve it."""

    project: NormalizedName
    version: str | None
    summary: str | None
    at: datetime


class Sizes(NamedTuple):
    """Sizes of the served files of an index, in bytes."""

    largest: dict[NormalizedName, int]
    total: int


async def select_newest_projects(db: Database, *, limit: int) -> list[Novelty]:
    """Return the projects that the index began to serve most recently, the newest first."""
    return [Novelty(*row) for row in await db.fetch(SELECT_NEWEST_PROJECTS, MAIN_INDEX, limit)]


async def select_newest_releases(db: Database, *, limit: int) -> list[Novelty]:
    """Return the releases that the index began to serve most recently, the newest first."""
    return [Novelty(*row) for row in await db.fetch(SELECT_NEWEST_RELEASES, MAIN_INDEX, limit, WINDOW)]


async def select_sizes(pool: Pool, *, limit: int) -> Sizes:
    """Return the projects with the largest total size of served files, and the size of all. Reads every file's row."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await extend_limit(connection, STATISTICS_TIMEOUT)
        rows = await connection.fetch(SELECT_SIZES, MAIN_INDEX, limit, timeout=STATISTICS_TIMEOUT)
    return Sizes({row["name"]: row["size"] or 0 for row in rows}, (rows[0]["total"] or 0) if rows else 0)
