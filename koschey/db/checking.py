"""Statements for checks: files that a check has not seen, what is recorded of them, names in use, earlier alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from packaging.utils import NormalizedName

from koschey.db.files import TABLES
from koschey.db.pool import Database, Pool, extend_limit
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
SELECT_USED_NAMES = """
    SELECT project.name
      FROM project
      JOIN file ON file.project_id = project.id
      JOIN standing ON standing.file_id = file.id AND standing.state = 'released'
      JOIN index ON index.id = standing.index_id AND index.name = $1
     GROUP BY project.id
     ORDER BY project.origin = 'hosted' DESC, count(DISTINCT file.version) DESC, project.name
     LIMIT $2
"""
NAMES_TIMEOUT = 60.0
"""Maximum seconds for reading the names of all projects in the order of their releases."""
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


async def select_used_names(pool: Pool, limit: int) -> list[str]:
    """Return names of projects with released files: hosted ones first, then those with the most releases.

    Reads every file's row.
    """
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await extend_limit(connection, NAMES_TIMEOUT)
        rows = await connection.fetch(SELECT_USED_NAMES, MAIN_INDEX, limit, timeout=NAMES_TIMEOUT)
    return [row["name"] for row in rows]


async def select_alerted_codes(db: Database, project: NormalizedName, version: str) -> set[tuple[str, str]]:
    """Return the checks and codes for which an alert about this release was raised."""
    rows = await db.fetch(SELECT_ALERTED_CODES, project, version, AlertKind.FINDING)
    return {(row["check"], row["code"]) for row in rows}
