"""Statements on `left_out_file`: files that an upstream's page lists and that have no row in `file`."""

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database
from koschey.model import LeftOut, LeftOutCause, LeftOutFile, ProjectId, UpstreamPage

REPLACE_LEFT_OUT = """
    WITH written AS (
        INSERT INTO left_out_file (project_id, position, name, cause)
        SELECT $1, row.position, row.name, row.cause
          FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS row (name, cause, position)
        ON CONFLICT (project_id, position) DO UPDATE SET name = excluded.name, cause = excluded.cause
    ), deleted AS (
        DELETE FROM left_out_file WHERE project_id = $1 AND position > cardinality($2::text[])
    )
    UPDATE project SET left_out = $4 WHERE id = $1
"""
SELECT_LEFT_OUT = """
    SELECT project.left_out, file.name, file.cause
      FROM project LEFT JOIN left_out_file AS file ON file.project_id = project.id
     WHERE project.name = $1 AND project.left_out > 0
     ORDER BY file.position
"""


async def replace_left_out(connection: Connection, project: ProjectId, page: UpstreamPage) -> None:
    """Store the files that the last reading of a page left out, in place of those of an earlier reading."""
    names, causes = [file.name for file in page.left_out], [file.cause for file in page.left_out]
    await connection.execute(REPLACE_LEFT_OUT, project, names, causes, page.left_out_count)


async def select_left_out(db: Database, project: NormalizedName) -> LeftOut:
    """Return the files that the last reading of a project's page left out."""
    rows = await db.fetch(SELECT_LEFT_OUT, project)
    files = [LeftOutFile(row["name"], LeftOutCause(row["cause"])) for row in rows if row["name"] is not None]
    return LeftOut(tuple(files), rows[0]["left_out"] if rows else 0)
