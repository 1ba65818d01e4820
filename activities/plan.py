"""Plans a release's quarantine round: files to download, provenance to attach, checks to run."""

from dataclasses import dataclass, field

from temporalio import activity

from activities.pages import FilePage
from koschey.db.pool import Pool
from koschey.db.waiting import select_unattested_ids, select_unstored_ids
from koschey.quarantine.checking import Checker
from koschey.standards.names import parse_name

PORTION = 20
"""Maximum number of files that one activity downloads: some gigabytes of them must fit into its timeout."""


@dataclass(frozen=True)
class Plan:
    """The work of a round, in this order; ids and names only."""

    unstored: list[int]
    """The next held files that are not stored yet."""
    unattested: bool
    """Whether the upstream lists provenance objects that are not stored."""
    checks: list[str]
    """Checks that have not inspected every stored file. The first of them runs first."""
    quick: list[str] = field(default_factory=list)
    """Those of `checks` that neither read nor download a file: they only compare stored facts."""


@dataclass(frozen=True)
class PlanActivities:
    """Plans rounds; changes nothing."""

    pool: Pool
    checker: Checker

    @activity.defn
    async def plan_round(self, page: FilePage) -> Plan:
        """Return the work for a release. This round has dealt with the files up to `page.after` already."""
        project = parse_name(page.project)
        unstored = await select_unstored_ids(self.pool, project, page.version, page.after, PORTION)
        unattested = await select_unattested_ids(self.pool, project, page.version, 0, 1)
        checks = await self.checker.due(project, page.version)
        return Plan(list(map(int, unstored)), bool(unattested), checks, await self.checker.quick(checks))
