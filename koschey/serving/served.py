"""Loads the files of one project that the verdict serves now."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from packaging.utils import NormalizedName

from koschey.addresses import Addresses
from koschey.db.files import read_file
from koschey.db.policies import policy_of
from koschey.db.pool import Pool
from koschey.db.project_views import ProjectView, select_with_files
from koschey.mirror.first_page import Sight
from koschey.model import Origin, ProjectStatus, StandingFile
from koschey.policy.rules import CLOSING, RuleKind, Rules
from koschey.policy.verdict import Policy, verdict
from koschey.serving.held_announcements import announce
from koschey.standards.project_page import ProjectPage

JUDGE_IN_THREAD = 500
"""Number of files above which the files of a project are judged in a thread, so that other requests continue."""


@dataclass(frozen=True, slots=True)
class Served:
    """Loads what is served of a project."""

    pool: Pool
    own_addresses: Addresses
    """The URLs of this index."""
    upstream: str
    """The URL of the Simple API that is mirrored."""
    window: timedelta
    """How long a new file is held if no rule says otherwise."""

    async def load(self, name: NormalizedName, sight: Sight | None = None) -> ProjectPage | None:
        """Return the served files of a project, or None if it is not in the database.

        With `sight`, the rows are those that a transaction of this process has just written.
        """
        if sight is not None:
            judge, count = partial(self._judge, name, sight.view, sight.files), len(sight.files)
        else:
            found = await select_with_files(self.pool, name)
            if found is None:
                return None
            judge, count = partial(self._read_and_judge, name, *found), len(found[1])
        return await asyncio.to_thread(judge) if count > JUDGE_IN_THREAD else judge()

    def _read_and_judge(self, name: NormalizedName, view: ProjectView, rows: Sequence[Any]) -> ProjectPage:
        return self._judge(name, view, [read_file(row) for row in rows])

    def _judge(self, name: NormalizedName, view: ProjectView, known: Sequence[StandingFile]) -> ProjectPage:
        project, rules, now = view.project, view.rules, view.now
        assert project is not None
        policy = policy_of(project, rules, ())
        served = tuple(item.file for item in known if verdict(item.file, item.standing, policy, now).served)
        source = self.upstream if project.origin is Origin.MIRRORED else None
        lasts, held_files = seconds_left(policy.rules, now), announce(known, policy, now, self.window)
        page = ProjectPage(name, project.serial, served, *_status(policy), self.own_addresses, source, lasts)
        return replace(page, announced=held_files.announced, held=held_files.held)


def seconds_left(rules: Rules, now: datetime) -> float:
    """Return the seconds until the first of these rules expires, by PostgreSQL's clock; infinity if none does.

    Until then, a verdict under these rules does not change by itself.
    """
    ends = rules.next_expiry(now)
    return (ends - now).total_seconds() if ends else math.inf


def _status(policy: Policy) -> tuple[ProjectStatus, str | None]:
    """Return the status of the project and its reason (PEP 792). A project that a rule closes is quarantined."""
    kinds = CLOSING if policy.origin is Origin.MIRRORED else (RuleKind.BLOCKED,)
    if rule := policy.rules.find_project_wide(*kinds):
        return ProjectStatus.QUARANTINED, f"{rule.kind}: {rule.reason}"
    return policy.project_status, policy.project_status_reason
