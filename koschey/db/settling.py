"""The statement with which a settlement begins."""

from datetime import datetime

from packaging.utils import NormalizedName

from koschey.db.pool import Connection
from koschey.db.projects import COLUMNS, read_project
from koschey.model import Project

LOCK_PROJECT_NOW = f"SELECT koschey_now() AS now, {COLUMNS} FROM project WHERE name = $1 FOR UPDATE"  # noqa: S608


async def lock_project_now(connection: Connection, name: NormalizedName) -> tuple[Project, datetime] | None:
    """Lock a project against other writers, and return it with PostgreSQL's time; None if there is no such project."""
    row = await connection.fetchrow(LOCK_PROJECT_NOW, name)
    return (read_project(row), row["now"]) if row else None
