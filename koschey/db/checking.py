"""Statements for checks: files that a check has not seen, names in use, earlier alerts about a release."""

from collections.abc import Sequence
from datetime import timedelta

from packaging.utils import NormalizedName

from koschey.db.files import COLUMNS, TABLES, read_file
from koschey.db.pool import Database
from koschey.events import AlertKind
from koschey.model import MAIN_INDEX, StandingFile

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
    SELECT {COLUMNS} FROM {TABLES} CROSS JOIN (SELECT $5::text AS name) AS wanted
     WHERE {UNSEEN}
     ORDER BY file.id
     LIMIT $6
"""  # noqa: S608
SELECT_DUE_CHECKS = f"""
    SELECT wanted.name FROM unnest($5::text[]) WITH ORDINALITY AS wanted (name, place)
     WHERE EXISTS (SELECT FROM {TABLES} WHERE {UNSEEN})
     ORDER BY wanted.place
"""  # noqa: S608
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
SELECT_ALERTED_CODES = """
    SELECT DISTINCT detail ->> 'code' AS code FROM alert
     WHERE project = $1 AND version = $2 AND detail ->> 'check' = $3 AND kind = $4
"""


async def select_due(
    db: Database, project: NormalizedName, version: str, check: str, again: timedelta, limit: int
) -> list[StandingFile]:
    """Return held, stored files of a release that a check has not seen, or failed to check longer than `again` ago."""
    rows = await db.fetch(SELECT_DUE, MAIN_INDEX, project, version, again, check, limit)
    return [read_file(row) for row in rows]


async def select_due_checks(
    db: Database, project: NormalizedName, version: str, checks: Sequence[str], again: timedelta
) -> list[str]:
    """Return those of the checks for which `select_due` would return a file, in the given order."""
    rows = await db.fetch(SELECT_DUE_CHECKS, MAIN_INDEX, project, version, again, list(checks))
    return [row["name"] for row in rows]


async def select_used_names(db: Database, limit: int) -> list[str]:
    """Return names of projects with released files: hosted ones first, then those with the most releases."""
    return [row["name"] for row in await db.fetch(SELECT_USED_NAMES, MAIN_INDEX, limit)]


async def select_alerted_codes(db: Database, project: NormalizedName, version: str, check: str) -> set[str]:
    """Return the codes of a check for which an alert about this release was raised."""
    return {row["code"] for row in await db.fetch(SELECT_ALERTED_CODES, project, version, check, AlertKind.FINDING)}
