"""Statements on `project`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database, Pool
from koschey.db.rules import IS_ACTIVE
from koschey.errors import Stale
from koschey.model import Absence, Origin, Project, ProjectId, ProjectStatus, Serial

COLUMNS = (
    "id, name, display_name, origin, status, status_reason, serial, upstream_etag, looked_at, summary, absent_since, "
    "absence_looks, absence_due_at, recheck_at, left_out"
)

SELECT_PROJECT = f"SELECT {COLUMNS} FROM project WHERE name = $1"  # noqa: S608
LOCK_PROJECT = f"SELECT {COLUMNS} FROM project WHERE name = $1 FOR UPDATE"  # noqa: S608
SELECT_LISTED_SINCE = "SELECT name, serial FROM project WHERE serial > $1"
INSERT_PROJECT = f"""
    INSERT INTO project (name, display_name, origin) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO NOTHING
    RETURNING {COLUMNS}
"""  # noqa: S608
UPDATE_ABSENCE = "UPDATE project SET absent_since = $2, absence_looks = $3, absence_due_at = $4 WHERE id = $1"
IS_ASKABLE = f"""
    NOT EXISTS (SELECT FROM rule
                 WHERE rule.kind = 'reserved' AND {IS_ACTIVE} AND in_scope(rule.project, project.name, project.origin))
"""
"""Condition that no reservation covers a mirrored project. Koschey requests no reserved name from an upstream."""
SELECT_RECHECKED = f"""
    SELECT name, recheck_at FROM project
     WHERE recheck_at <= koschey_now() AND name <> ALL ($1::text[]) AND {IS_ASKABLE}
     ORDER BY recheck_at LIMIT $2
"""  # noqa: S608
UPDATE_STATUS = "UPDATE project SET status = $2, status_reason = $3 WHERE id = $1"
UPDATE_SUMMARY = "UPDATE project SET summary = $2 WHERE name = $1 AND summary IS DISTINCT FROM $2"
SELECT_NOW = "SELECT koschey_now()"

PORTION = 10_000
"""Number of rows that are fetched at a time if there may be very many."""


async def select_project(db: Database, name: NormalizedName) -> Project | None:
    """Return the project of that name, or None if there is none."""
    row = await db.fetchrow(SELECT_PROJECT, name)
    return read_project(row) if row else None


async def lock_project(connection: Connection, name: NormalizedName, expected: Serial | None = None) -> Project | None:
    """Lock a project against other writers until the transaction ends, and return it.

    Raises `Stale` if `expected`, the serial that the author of a change saw, is not the project's serial now.
    """
    row = await connection.fetchrow(LOCK_PROJECT, name)
    found = read_project(row) if row else None
    if expected is not None and (found is None or found.serial != expected):
        now = f"at serial {found.serial}" if found else "not known here"
        raise Stale(f"{name} is {now}, not at serial {expected}; re-check it, then decide")
    return found


async def select_listed_since(db: Pool, serial: Serial) -> list[tuple[NormalizedName, Serial]]:
    """Return every project that changed after a serial, with the serial of its last change."""
    async with db.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        # In portions: all rows of a large index would exceed the time limit of a statement.
        rows = connection.cursor(SELECT_LISTED_SINCE, serial, prefetch=PORTION)
        return [(row["name"], Serial(row["serial"])) async for row in rows]


async def insert_project(connection: Connection, name: NormalizedName, display_name: str, origin: Origin) -> bool:
    """Add a project. Returns False if the name already exists, whatever its origin."""
    return await connection.fetchrow(INSERT_PROJECT, name, display_name, origin) is not None


async def update_absence(connection: Connection, project: ProjectId, absence: Absence | None) -> None:
    """Record the state of the absence of a project's page; None if the page exists. `write_portion` must follow."""
    columns = (absence.since, absence.looks, absence.due_at) if absence else (None, 0, None)
    await connection.execute(UPDATE_ABSENCE, project, *columns)


async def select_rechecked(
    db: Database, without: Sequence[NormalizedName], limit: int
) -> list[tuple[NormalizedName, datetime]]:
    """Return projects whose pages are due for a re-check, and since when; those that are overdue longest come first."""
    rows = await db.fetch(SELECT_RECHECKED, list(without), limit)
    return [(row["name"], row["recheck_at"]) for row in rows]


async def update_status(connection: Connection, project: ProjectId, status: ProjectStatus, reason: str | None) -> None:
    """Set the status of a hosted project (PEP 792). A mirrored project has the status that its upstream gives it."""
    await connection.execute(UPDATE_STATUS, project, status, reason)


async def update_summary(db: Database, name: NormalizedName, summary: str | None) -> None:
    """Store the summary of a project, one line of its newest metadata."""
    await db.execute(UPDATE_SUMMARY, name, summary)


async def select_now(db: Database) -> datetime:
    """Return the time by PostgreSQL's clock, the only one that decides."""
    now: datetime = await db.fetchval(SELECT_NOW)
    return now


def read_project(row: Any) -> Project:
    """Turn a row of `COLUMNS` into a `Project`."""
    return Project(
        id=ProjectId(row["id"]),
        name=row["name"],
        display_name=row["display_name"],
        origin=Origin(row["origin"]),
        status=ProjectStatus(row["status"]),
        status_reason=row["status_reason"],
        serial=Serial(row["serial"]),
        upstream_etag=row["upstream_etag"],
        looked_at=row["looked_at"],
        summary=row["summary"],
        absence=_read_absence(row),
        recheck_at=row["recheck_at"],
        left_out=row["left_out"],
    )


def _read_absence(row: Any) -> Absence | None:
    since: datetime | None = row["absent_since"]
    return Absence(since, row["absence_looks"], row["absence_due_at"]) if since else None
