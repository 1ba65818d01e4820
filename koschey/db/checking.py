"""Statements for checks: files that a check has not seen, what is recorded of them, names in use, earlier alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.files import TABLES
from koschey.db.pool import Database
from koschey.events import AlertKind
from koschey.model import MAIN_INDEX, AttestationVerdict, FileId, Origin

# A check has not seen a provenance object that was verified after the check ran.
UNSEEN = """
    project.name = $2 AND file.version = $3 AND standing.state = 'held'
       AND file.stored_at IS NOT NULL AND file.sha256 IS NOT NULL
       AND NOT EXISTS (
           SELECT FROM check_run
            WHERE check_run.file_id = file.id AND check_run.name = wanted.name AND check_run.sha256 = file.sha256
              AND (check_run.fault IS NULL OR check_run.at > koschey_now() - $4::interval)
              AND (attestation.checked_at IS NULL OR attestation.checked_at <= check_run.at))
"""
SELECT_DUE = f"""
    SELECT file.id, project.origin, array_agg(wanted.name ORDER BY wanted.place) AS checks
      FROM {TABLES} CROSS JOIN unnest($5::text[]) WITH ORDINALITY AS wanted (name, place)
     WHERE {UNSEEN}
     GROUP BY file.id, project.origin
     ORDER BY file.id
     LIMIT $6
"""  # noqa: S608
# A report on other bytes than the file has now does not count. The number of members of an archive that breaks a rule
# is meaningless. A large report, which may have many MiB, is read by itself when it is needed.
SELECT_RECORDED = """
    SELECT koschey_now() AS now, file.id, attestation.verdict, attestation.publishers,
           content.file_id IS NOT NULL AS is_read,
           CASE WHEN file.id = ANY($1::bigint[]) AND pg_column_size(content.report) < 65536 THEN content.report END
               AS report,
           CASE WHEN content.report ->> 'refused' IS NULL THEN (content.report ->> 'files')::bigint END AS members
      FROM file
      LEFT JOIN content ON content.file_id = file.id AND content.sha256 = file.sha256
      LEFT JOIN attestation ON attestation.file_id = file.id
     WHERE file.id = ANY($1::bigint[] || $2::bigint[])
"""
# Hosted projects are few. The others are read in the order of the index `debut_releases`, until there are enough.
SELECT_USED_NAMES = """
    SELECT name FROM (
        (SELECT 1 AS place, project.name, debut.releases
           FROM project JOIN debut ON debut.project_id = project.id
          WHERE project.origin = 'hosted' AND debut.releases > 0
            AND debut.index_id = (SELECT id FROM index WHERE name = $1)
          ORDER BY debut.releases DESC, project.name
          LIMIT $2)
        UNION ALL
        (SELECT 2, project.name, debut.releases
           FROM debut
          CROSS JOIN LATERAL (SELECT name, origin FROM project WHERE project.id = debut.project_id OFFSET 0) AS project
          WHERE debut.index_id = (SELECT id FROM index WHERE name = $1) AND debut.releases > 0
            AND project.origin = 'mirrored'
          ORDER BY debut.releases DESC, debut.project_id
          LIMIT $2)
    ) AS used
     ORDER BY place, releases DESC, name
     LIMIT $2
"""
# This waits for no lock: another process that counts the same projects writes the same numbers. A locked row stays in
# its place.
UPDATE_RELEASES = """
    WITH portion AS MATERIALIZED (
        SELECT index_id, project_id, releases FROM debut
         WHERE index_id = (SELECT id FROM index WHERE name = $1) AND project_id > $2
         ORDER BY project_id
         LIMIT $3
    ), counted AS MATERIALIZED (
        SELECT portion.index_id, portion.project_id, portion.releases, (
               SELECT count(DISTINCT file.version)
                 FROM file
                CROSS JOIN LATERAL (SELECT state FROM standing
                                     WHERE standing.index_id = portion.index_id AND standing.file_id = file.id
                                    OFFSET 0) AS standing
                WHERE file.project_id = portion.project_id AND standing.state = 'released') AS now
          FROM portion
    ), free AS (
        SELECT debut.place, counted.now
          FROM counted
         CROSS JOIN LATERAL (SELECT ctid AS place FROM debut
                              WHERE debut.index_id = counted.index_id AND debut.project_id = counted.project_id
                                AND debut.releases <> counted.now
                                FOR NO KEY UPDATE SKIP LOCKED) AS debut
    ), changed AS (
        UPDATE debut SET releases = (SELECT free.now FROM free WHERE free.place = debut.ctid)
         WHERE debut.ctid = ANY(ARRAY(SELECT place FROM free))
    )
    SELECT count(*) AS count, max(project_id) AS last FROM portion
"""
SELECT_ALERTED_CODES = """
    SELECT DISTINCT detail ->> 'check' AS check, detail ->> 'code' AS code FROM alert
     WHERE project = $1 AND version = $2 AND kind = $3
"""


class DueFile(NamedTuple):
    """A file, and the checks that have not seen it, in the order in which they were named."""

    id: FileId
    origin: Origin
    checks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is stored about one file for checks."""

    is_read: bool = False
    """Whether a report on its archive is stored."""
    report: Mapping[str, Any] | None = None
    """The report, unless it is large or was not requested."""
    members: int | None = None
    """Number of members of its archive; None if that was not read, or breaks a rule."""
    verdict: AttestationVerdict | None = None
    """Result of verifying its provenance object; None if there is no object."""
    publishers: Sequence[Mapping[str, str]] = ()


async def select_due(
    db: Database, project: NormalizedName, version: str, checks: Sequence[str], again: timedelta, limit: int
) -> list[DueFile]:
    """Return held, stored files of a release with the checks that have not seen them.

    A check that failed longer than `again` ago counts as one that has not seen the file.
    """
    rows = await db.fetch(SELECT_DUE, MAIN_INDEX, project, version, again, list(checks), limit)
    return [DueFile(FileId(row["id"]), Origin(row["origin"]), row["checks"]) for row in rows]


async def select_recorded(
    db: Database, files: Sequence[FileId], relatives: Sequence[FileId]
) -> tuple[datetime, Mapping[FileId, Recorded]]:
    """Return what is stored about files, and PostgreSQL's time before it was read; of relatives without the report.

    There must be at least one file that exists.
    """
    rows = await db.fetch(SELECT_RECORDED, list(files), list(relatives))
    return rows[0]["now"], {FileId(row["id"]): _read_recorded(row) for row in rows}


def _read_recorded(row: Any) -> Recorded:
    verdict = AttestationVerdict(row["verdict"]) if row["verdict"] is not None else None
    return Recorded(row["is_read"], row["report"], row["members"], verdict, row["publishers"] or ())


async def select_used_names(db: Database, limit: int) -> list[str]:
    """Return names of projects with released files: hosted ones first, then those with the most releases.

    The numbers of releases are those of the last `update_releases`. A project with a new first release has one.
    """
    return [row["name"] for row in await db.fetch(SELECT_USED_NAMES, MAIN_INDEX, limit)]


async def update_releases(db: Database, after: int, limit: int) -> int:
    """Count the releases of the next projects that ever had one. Returns the last id, 0 at the end."""
    row = await db.fetchrow(UPDATE_RELEASES, MAIN_INDEX, after, limit)
    return int(row["last"]) if row["count"] == limit else 0


async def select_alerted_codes(db: Database, project: NormalizedName, version: str) -> set[tuple[str, str]]:
    """Return the checks and codes for which an alert about this release was raised."""
    rows = await db.fetch(SELECT_ALERTED_CODES, project, version, AlertKind.FINDING)
    return {(row["check"], row["code"]) for row in rows}
