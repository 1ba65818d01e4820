"""Statements that find the files and projects that a client wants explained."""

from collections.abc import Sequence

from packaging.utils import NormalizedName

from koschey.db.files import COLUMNS, TABLES, read_file
from koschey.db.pool import Database
from koschey.model import MAIN_INDEX, StandingFile

SELECT_FILES_NAMED = f"""
    SELECT {COLUMNS} FROM {TABLES} WHERE project.name = ANY($2::text[]) AND file.filename = $3
     ORDER BY file.set_aside_at DESC NULLS FIRST, file.id
"""  # noqa: S608
SELECT_KNOWN_NAMES = "SELECT name FROM project WHERE name = ANY($1::text[])"


async def select_files_named(db: Database, projects: Sequence[NormalizedName], filename: str) -> list[StandingFile]:
    """Return the files of that name in any of the projects."""
    return [read_file(row) for row in await db.fetch(SELECT_FILES_NAMED, MAIN_INDEX, list(projects), filename)]


async def select_known_names(db: Database, names: Sequence[NormalizedName]) -> set[NormalizedName]:
    """Return those of the names that are known projects."""
    return {row["name"] for row in await db.fetch(SELECT_KNOWN_NAMES, list(names))}
