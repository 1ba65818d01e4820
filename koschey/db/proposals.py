"""Statements on `proposal`: decisions that need a second reviewer."""

from datetime import datetime
from typing import NamedTuple

from packaging.utils import NormalizedName

from koschey.db.pool import Connection, Database
from koschey.model import MAIN_INDEX

COLUMNS = """
    proposal.action, proposal.project, nullif(proposal.version, '') AS version, proposal.digests, proposal.reason,
    proposal.ticket, proposal.expires_at, proposal.actor, proposal.door, proposal.at
"""
INSERT_PROPOSAL = """
    INSERT INTO proposal (index_id, action, project, version, digests, reason, ticket, expires_at, actor, door)
    SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM index WHERE name = $1
"""
SELECT_OPEN_PROPOSAL = f"""
    SELECT {COLUMNS} FROM proposal JOIN index ON index.id = proposal.index_id
     WHERE index.name = $1 AND proposal.action = $2 AND proposal.project = $3 AND proposal.version = $4
       AND proposal.closed_at IS NULL
"""  # noqa: S608
# Nobody can agree to a proposal whose files were released, blocked or unblocked in another way meanwhile.
SELECT_OPEN_PROPOSALS = f"""
    SELECT {COLUMNS} FROM proposal JOIN index ON index.id = proposal.index_id
     WHERE index.name = $1 AND proposal.closed_at IS NULL
       AND (proposal.digests = '{{}}' OR EXISTS (
           SELECT FROM project
             JOIN file ON file.project_id = project.id
             JOIN standing ON standing.file_id = file.id AND standing.index_id = index.id
            WHERE project.name = proposal.project
              AND coalesce(file.sha256, file.filename) = ANY(proposal.digests)
              AND standing.state = CASE WHEN proposal.action = 'unblock' THEN 'blocked' ELSE 'held' END))
     ORDER BY proposal.at, proposal.id
"""  # noqa: S608
CLOSE_PROPOSALS = """
    UPDATE proposal SET closed_at = koschey_now(), closed_by = $5 FROM index
     WHERE index.name = $1 AND proposal.index_id = index.id AND proposal.closed_at IS NULL
       AND proposal.project = $2 AND ($3::text IS NULL OR proposal.version = $3)
       AND ($4::text IS NULL OR proposal.action = $4)
"""
# An answered request does not count: it was about another moment.
SELECT_INVOLVEMENT = """
    SELECT coalesce(
        (SELECT 'uploaded' FROM journal
          WHERE project = $2 AND action = 'add file' AND door = 'upload' AND actor = $4
            AND ($3::text IS NULL OR version = $3) LIMIT 1),
        (SELECT 'requested' FROM request JOIN index ON index.id = request.index_id
          WHERE index.name = $1 AND request.project = $2 AND request.who = $4 AND request.answered_at IS NULL
            AND ($3::text IS NULL OR request.version = $3) LIMIT 1))
"""


class Proposal(NamedTuple):
    """A decision that one reviewer has made, and that a second one must make too."""

    action: str
    project: NormalizedName
    version: str | None
    digests: list[str]
    """The SHA-256 of every file that it binds, sorted; for a file without a digest its filename."""
    reason: str
    ticket: str | None
    expires_at: datetime | None
    """When the rule that it would create expires."""
    actor: str
    door: str
    at: datetime | None = None


async def insert_proposal(connection: Connection, proposal: Proposal) -> None:
    """Record a proposal. At most one proposal for an action and a scope is open."""
    values = proposal._replace(version=proposal.version or "")
    await connection.execute(INSERT_PROPOSAL, MAIN_INDEX, *values[:-1])


async def select_open_proposal(
    connection: Connection, action: str, project: NormalizedName, version: str | None
) -> Proposal | None:
    """Return the open proposal for this action and exactly this scope."""
    row = await connection.fetchrow(SELECT_OPEN_PROPOSAL, MAIN_INDEX, action, project, version or "")
    return Proposal(*row) if row else None


async def select_open_proposals(db: Database) -> list[Proposal]:
    """Return all proposals that a second reviewer can still agree to, the oldest first."""
    return [Proposal(*row) for row in await db.fetch(SELECT_OPEN_PROPOSALS, MAIN_INDEX)]


async def close_proposals(
    connection: Connection, project: NormalizedName, version: str | None, action: str | None, closed_by: str
) -> None:
    """Close the proposals of an action, or of all. Version None means the project and all its releases, '' it alone."""
    await connection.execute(CLOSE_PROPOSALS, MAIN_INDEX, project, version, action, closed_by)


async def select_involvement(db: Database, project: NormalizedName, version: str | None, account: str) -> str | None:
    """Return `uploaded` or `requested` if the account did that with a release or, without a version, with any of them.

    Returns None if it did neither.
    """
    found: str | None = await db.fetchval(SELECT_INVOLVEMENT, MAIN_INDEX, project, version, account)
    return found
