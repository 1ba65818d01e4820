"""Statements that search for projects by name and summary."""

from collections.abc import Sequence
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Database
from koschey.model import MAIN_INDEX, ProjectId

# Among projects that match in the same way, the one with the shorter name comes first.
SELECT_MATCHING_ANY = """
    SELECT id, name, summary FROM project
     WHERE name LIKE ANY($1::text[]) OR summary ILIKE ANY($2::text[])
     ORDER BY name = ANY($3::text[]) DESC, name LIKE ANY($1::text[]) DESC, length(name), name
     LIMIT $4
"""
SELECT_MATCHING_ALL = """
    SELECT id, name, summary FROM project
     WHERE name LIKE ALL($1::text[]) AND coalesce(summary, '') ILIKE ALL($2::text[])
     ORDER BY name = ANY($3::text[]) DESC, length(name), name
     LIMIT $4
"""
# OFFSET 0 has PostgreSQL look up the files of each project; it might read all files otherwise.
SELECT_SERVED_VERSIONS = """
    SELECT served.project_id, served.version, bool_and(served.yanked IS NOT NULL) AS yanked
      FROM unnest($2::bigint[]) AS wanted (id)
     CROSS JOIN LATERAL (
        SELECT * FROM served_file
         WHERE served_file.index_id = (SELECT id FROM index WHERE name = $1) AND served_file.project_id = wanted.id
        OFFSET 0
     ) AS served
     GROUP BY served.project_id, served.version
"""


class Match(NamedTuple):
    """A project that matches a search. It may have no served files."""

    id: ProjectId
    name: NormalizedName
    summary: str | None


async def select_matching(
    db: Database, names: Sequence[str], summaries: Sequence[str], *, every: bool, limit: int
) -> list[Match]:
    """Return projects whose name or summary contains one of the texts, or all of them; the best ones first."""
    statement = SELECT_MATCHING_ALL if every else SELECT_MATCHING_ANY
    patterns = [contains(text) for text in names], [contains(text) for text in summaries]
    return [Match(*row) for row in await db.fetch(statement, *patterns, list(names), limit)]


async def select_served_versions(db: Database, projects: Sequence[ProjectId]) -> dict[ProjectId, dict[str, bool]]:
    """Return the served versions of each project that has any, and whether they are yanked."""
    found: dict[ProjectId, dict[str, bool]] = {}
    for row in await db.fetch(SELECT_SERVED_VERSIONS, MAIN_INDEX, list(projects)):
        found.setdefault(row["project_id"], {})[row["version"]] = row["yanked"]
    return found


def contains(text: str) -> str:
    """Return the LIKE pattern for "contains exactly this text"."""
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
