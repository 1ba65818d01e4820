"""Gathers what the verdict on the files of a project depends on."""

from koschey.db.findings import select_known_checks
from koschey.db.pool import Database
from koschey.db.rules import select_rules
from koschey.model import Project
from koschey.policy.findings import KnownCheck
from koschey.policy.rules import Rules
from koschey.policy.verdict import Policy


async def load_policy(db: Database, project: Project, *, checks: bool = True) -> Policy:
    """Return what the verdict depends on besides a file, its state and the evidence.

    A caller that only needs to know what is served can omit the checks: no check makes a file served.
    """
    rules = await select_rules(db, project.name, project.origin)
    return policy_of(project, rules, await select_known_checks(db) if checks else ())


def policy_of(project: Project, rules: Rules, checks: tuple[KnownCheck, ...]) -> Policy:
    """Return the policy for the files of one project."""
    return Policy(
        rules=rules,
        origin=project.origin,
        project_status=project.status,
        project_status_reason=project.status_reason,
        looked_at=project.looked_at,
        absence=project.absence,
        checks=checks,
    )
