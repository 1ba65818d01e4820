"""All that judges the files of one project, gathered for the verdict."""

from koschey.db.decisions import select_rules
from koschey.db.pool import Database
from koschey.model import Project
from koschey.policy.verdict import Policy


async def load_policy(db: Database, project: Project) -> Policy:
    """Return what the verdict needs to know beside a file and its standing."""
    return Policy(
        rules=await select_rules(db, project.name),
        origin=project.origin,
        project_status=project.status,
        project_status_reason=project.status_reason,
        looked_at=project.looked_at,
    )
