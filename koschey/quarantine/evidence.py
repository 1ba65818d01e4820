"""Gathers the evidence on held files: what checks recorded, and what advisories say today."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from koschey.db.advisories import select_advisories, select_feed
from koschey.db.findings import select_evidence
from koschey.db.pool import Database
from koschey.model import Advisory, FileId, Origin, StandingFile
from koschey.policy.advisories import ADVISORIES, Feed, feed_fault, findings_about
from koschey.policy.findings import CheckFault, Evidence
from koschey.policy.verdict import Policy


async def gather_evidence(
    db: Database, known: Sequence[StandingFile], policy: Policy, feed: Feed | None, now: datetime
) -> tuple[Policy, Mapping[FileId, Evidence]]:
    """Return the policy that judges files of one project, and the evidence on each file.

    Advisories are compared at the moment of the judgement and recorded nowhere, because a feed changes every hour. If
    there is a feed, it is one more check that mirrored files must pass.
    """
    if not known:
        return policy, {}
    evidence = await select_evidence(db, [item.file.id for item in known])
    if feed is None or policy.origin is not Origin.MIRRORED:
        return policy, evidence
    state = await select_feed(db)
    said = _Said(feed_fault(feed, state.read_at, now), await select_advisories(db, known[0].file.project))
    others = tuple(check for check in policy.checks if check.name != ADVISORIES.name)
    with_feed = {item.file.id: said.add(evidence[item.file.id], item.file.version) for item in known}
    return replace(policy, checks=(*others, ADVISORIES)), with_feed


@dataclass(frozen=True, slots=True)
class _Said:
    """The fault of the feed, if any, and its advisories about one project."""

    fault: CheckFault | None
    advisories: Sequence[Advisory]

    def add(self, evidence: Evidence, version: str) -> Evidence:
        """Return the evidence with the findings of the feed. Old advisories still block, but release no file."""
        return Evidence(
            evidence.completed if self.fault else evidence.completed | {ADVISORIES.name},
            (*evidence.faults, self.fault) if self.fault else evidence.faults,
            (*findings_about(self.advisories, version), *evidence.findings),
        )
