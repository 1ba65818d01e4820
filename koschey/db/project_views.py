"""Statements that read a project together with all that decides about its files, at one moment.

Each is one statement, because each round trip is time that a client waits, and because one statement sees one state.
"""

from datetime import datetime
from typing import Any, NamedTuple

from asyncpg import ReadOnlySQLTransactionError
from packaging.utils import NormalizedName

from koschey.db.files import COLUMNS, PROJECT_TABLES
from koschey.db.first_pages import FIRST_FACTS, FirstFacts, read_first_facts
from koschey.db.leases import acquire_by
from koschey.db.pool import Database
from koschey.db.projects import read_project
from koschey.db.rules import RULES, read_rules
from koschey.db.scopes import OWNER, OWNER_COLUMNS
from koschey.model import MAIN_INDEX, Project
from koschey.policy.rules import Rules

VIEW = f"koschey_now() AS now, {RULES} AS rules, {OWNER}"
SELECT_VIEW = f"SELECT {VIEW} FROM (SELECT) AS always LEFT JOIN project ON project.name = $2"  # noqa: S608
# OFFSET 0 keeps PostgreSQL from reading the rules twice.
ACQUIRE_VIEW = f"""
    WITH acquired AS ({acquire_by("$3", "$4", "$5")})
    SELECT view.*, md5(view.rules::text || view.first_facts::text) AS digest
      FROM (SELECT {VIEW}, CASE WHEN project.id IS NULL THEN {FIRST_FACTS} END AS first_facts
              FROM acquired LEFT JOIN project ON project.name = $2 OFFSET 0) AS view
"""  # noqa: S608
# A project that is in the database needs no lease to be served.
SELECT_OR_ACQUIRE = f"""
    WITH acquired AS ({acquire_by("$3", "$4", "$5", "NOT EXISTS (SELECT FROM project WHERE name = $2)")})
    SELECT view.*, md5(view.rules::text || view.first_facts::text) AS digest,
           EXISTS (SELECT FROM acquired) AS is_acquired
      FROM (SELECT {VIEW}, CASE WHEN project.id IS NULL THEN {FIRST_FACTS} END AS first_facts
              FROM (SELECT) AS always LEFT JOIN project ON project.name = $2 OFFSET 0) AS view
"""  # noqa: S608
# The first row is the project, without a file; the other rows are the files.
SELECT_WITH_FILES = f"""
    SELECT view.*, known.*
      FROM (SELECT {VIEW} FROM project WHERE project.name = $2) AS view
      FULL JOIN (SELECT {COLUMNS} FROM {PROJECT_TABLES}) AS known ON false
     ORDER BY known.id NULLS FIRST
"""  # noqa: S608


class ProjectView(NamedTuple):
    """A project at one moment of PostgreSQL's clock."""

    project: Project | None
    """None if the name is not in the database."""
    rules: Rules
    """The active rules that cover the project; a name that is not in the database would become a mirrored project."""
    now: datetime
    first: FirstFacts | None = None
    """What else decides about the files of a name that is not in the database, if the holder of its lease reads it."""


async def select_view(db: Database, name: NormalizedName) -> ProjectView:
    """Return a project with its rules."""
    return _read_view(await db.fetchrow(SELECT_VIEW, MAIN_INDEX, name))


async def acquire_view(name: NormalizedName, db: Database, key: str, holder: str, seconds: float) -> ProjectView | None:
    """Acquire a lease as `acquire_lease` does, and return a project with its rules. Returns None without the lease.

    If a former holder released the lease in the transaction that wrote the project, the view has what it wrote.
    """
    row = await db.fetchrow(ACQUIRE_VIEW, MAIN_INDEX, name, key, holder, seconds)
    return _read_first_view(row) if row else None


async def select_or_acquire(
    name: NormalizedName, db: Database, key: str, holder: str, seconds: float
) -> tuple[ProjectView, bool]:
    """Return a project with its rules; acquire a lease as `acquire_view` does if the name is not in the database.

    Returns also whether the lease was acquired. A database that takes no writes gives none.
    """
    try:
        row = await db.fetchrow(SELECT_OR_ACQUIRE, MAIN_INDEX, name, key, holder, seconds)
    except ReadOnlySQLTransactionError:
        return await select_view(db, name), False
    return _read_first_view(row), row["is_acquired"]


async def select_with_files(db: Database, name: NormalizedName) -> tuple[ProjectView, list[Any]] | None:
    """Return a project with its rules, and the rows of its files for `read_file`, in the order of their first sight.

    Returns None if the name is not in the database.
    """
    rows = await db.fetch(SELECT_WITH_FILES, MAIN_INDEX, name)
    return (_read_view(rows[0]), rows[1:]) if rows else None


def _read_first_view(row: Any) -> ProjectView:
    view, facts = _read_view(row), row["first_facts"]
    return view if facts is None else view._replace(first=read_first_facts(facts, row["digest"]))


def _read_view(row: Any) -> ProjectView:
    known = row["owner_id"] is not None
    project = read_project({name: row[f"owner_{name}"] for name in OWNER_COLUMNS}) if known else None
    return ProjectView(project, read_rules(row["rules"]), row["now"])
