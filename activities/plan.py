"""Plans a release's quarantine round: files to download, provenance to attach, checks to run."""

from dataclasses import dataclass, field

from temporalio import activity

from activities.pages import FilePage
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
    """Checks that have not inspected every stored file, without those of `isolated`. They run first, and together."""
    isolated: list[str] = field(default_factory=list)
    """Such checks that run in child processes. Each runs by itself, because it may take minutes."""


@dataclass(frozen=True)
class PlanActivities:
    """Plans rounds; changes nothing."""

    checker: Checker

    @activity.defn
    async def plan_round(self, page: FilePage) -> Plan:
        """Return the work for a release. This round has dealt with the files up to `page.after` already."""
        work = await self.checker.work(parse_name(page.project), page.version, page.after, PORTION)
        isolated = await self.checker.isolated(work.checks)
        checks = [name for name in work.checks if name not in isolated]
        return Plan(list(map(int, work.unstored)), work.unattested, checks, isolated)
