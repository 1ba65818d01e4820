"""Statements on suspicious changes of an upstream's page: findings of the check `upstream`."""

from collections.abc import Sequence

from koschey.db.pool import Connection
from koschey.model import FileId, ProjectId, Sha256
from koschey.policy import news
from koschey.policy.findings import Severity

INSERT_NEWS = """
    INSERT INTO finding (file_id, name, code, severity, summary, evidence)
    SELECT row.file_id, $1, $2, $3, $4, row.evidence
      FROM unnest($5::bigint[], $6::jsonb[]) AS row (file_id, evidence)
"""
INSERT_REAPPEARED_PROJECT = """
    INSERT INTO finding (file_id, name, code, severity, summary)
    SELECT file.id, $2, $3, $4, $5 FROM file
     WHERE project_id = $1 AND EXISTS (SELECT FROM standing WHERE file_id = file.id AND state = 'held')
"""
SELECT_REPLACED = """
    SELECT file_id, evidence ->> 'now' AS now FROM finding
     WHERE file_id = ANY($1::bigint[]) AND name = $2 AND code = $3
"""
# A reviewer who approves a release of the project, or trusts the project, after its return knows of the return.
IS_ESTRANGED = f"""
    EXISTS (SELECT FROM finding JOIN file ON file.id = finding.file_id
             WHERE file.project_id = project.id AND finding.name = '{news.CHECK}' AND finding.code = '{news.RETURNED}'
               AND NOT EXISTS (
                   SELECT FROM decision
                    WHERE decision.project = project.name AND decision.action IN ('approve', 'trust')
                      AND decision.at > finding.at))
"""  # noqa: S608
"""Condition that a project returned from an absence, and that no reviewer has approved or trusted it since."""


async def insert_returned(connection: Connection, files: Sequence[FileId], summary: str) -> None:
    """Record a finding for files that are listed since their project returned."""
    evidence: list[dict[str, object]] = [{} for _ in files]
    await connection.execute(INSERT_NEWS, news.CHECK, news.RETURNED, Severity.SERIOUS, summary, list(files), evidence)


async def insert_reappeared(connection: Connection, files: Sequence[FileId], summary: str) -> None:
    """Record a finding for held files that the page did not list, and lists again."""
    evidence: list[dict[str, object]] = [{} for _ in files]
    if files:
        arguments = (news.CHECK, news.REAPPEARED, Severity.SERIOUS, summary, list(files), evidence)
        await connection.execute(INSERT_NEWS, *arguments)


async def insert_reappeared_project(connection: Connection, project: ProjectId, summary: str) -> None:
    """Record the same finding for every held file of a project whose page was absent."""
    arguments = (project, news.CHECK, news.REAPPEARED, Severity.SERIOUS, summary)
    await connection.execute(INSERT_REAPPEARED_PROJECT, *arguments)


async def insert_replaced(connection: Connection, files: Sequence[tuple[FileId, Sha256]], summary: str) -> None:
    """Record a finding for files under whose names the upstream lists other bytes."""
    ids, evidence = [file for file, _ in files], [{"now": sha256} for _, sha256 in files]
    await connection.execute(INSERT_NEWS, news.CHECK, news.REPLACED, Severity.SERIOUS, summary, ids, evidence)


async def select_replaced(connection: Connection, files: Sequence[FileId]) -> set[tuple[FileId, Sha256]]:
    """Return the pairs of file and other digest that `insert_replaced` recorded before."""
    rows = await connection.fetch(SELECT_REPLACED, list(files), news.CHECK, news.REPLACED)
    return {(row["file_id"], row["now"]) for row in rows}
