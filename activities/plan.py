"""What is to be done for a release before it can be settled: files to fetch, provenance to attach, checks to run."""

from dataclasses import dataclass, field

from temporalio import activity

from activities.pages import Page
from koschey.db.pool import Pool
from koschey.db.waiting import select_unattested_ids, select_unstored_ids
from koschey.quarantine.checking import Checker
from koschey.standards.names import parse_name

PORTION = 20
"""Files that one activity fetches at the most: some gigabytes of them must fit into its time."""


@dataclass(frozen=True)
class Plan:
    """What is to be done, in this order; ids and names only."""

    unstored: list[int]
    """Held files whose bytes are not here yet, the next of them."""
    unattested: bool
    """Whether the upstream lists provenance objects that are not here."""
    checks: list[str]
    """Checks that have not looked at every file whose bytes are here; the first of them is to go first."""
    quick: list[str] = field(default_factory=list)
    """Those of them that only compare what is known."""


@dataclass(frozen=True)
class PlanActivities:
    """Reads; changes nothing."""

    pool: Pool
    checker: Checker

    @activity.defn
    async def plan_round(self, page: Page) -> Plan:
        """Return what is to be done for a release; files up to `page.after` were seen to in this round."""
        project = parse_name(page.project)
        unstored = await select_unstored_ids(self.pool, project, page.version, page.after, PORTION)
        unattested = await select_unattested_ids(self.pool, project, page.version, 0, 1)
        checks = await self.checker.due(project, page.version)
        return Plan(list(map(int, unstored)), bool(unattested), checks, await self.checker.quick(checks))
