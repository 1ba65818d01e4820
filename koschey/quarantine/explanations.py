"""Explains why a file is not served, until when, and what is served instead: for pages, the API and commands alike.

The verdict without evidence decides whether a file is served, as on every surface. Findings of checks only make the
reason more exact, and decide whether time alone will release the file.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from packaging.utils import NormalizedName

from koschey.db import files, projects
from koschey.db.findings import select_evidence
from koschey.db.left_out import select_left_out
from koschey.db.policies import load_policy
from koschey.db.pool import ACQUIRE_TIMEOUT, Pool
from koschey.db.rules import select_rules
from koschey.model import FileId, LeftOut, LeftOutFile, StandingFile, State
from koschey.policy.availability import Availability, Explanation, FileAccount
from koschey.policy.findings import Evidence, FindingAction
from koschey.policy.verdict import NOTHING_KNOWN, Policy, Verdict, absence_of, closed_by, verdict
from koschey.policy.windows import renew
from koschey.standards.names import version_of
from koschey.standards.upstream_page import CAUSES
from koschey.standards.versions import canonical_version, normalise_version, version_key

BY_HOPE = (State.HELD, State.CONFLICT, State.MALFORMED, State.BLOCKED, State.REMOVED)
"""States that are not served, the one that is likely to end first at the top."""


@dataclass(frozen=True)
class ProjectSnapshot:
    """All files, rules and findings of one project at one moment.

    Each file is judged only once, however many releases are explained: a lock that a stranger sends may name five
    thousand.
    """

    project: NormalizedName
    known: Sequence[StandingFile]
    policy: Policy
    now: datetime
    usual: timedelta
    """How long a new file is held if no rule says otherwise."""
    evidence: Mapping[FileId, Evidence]
    left_out: Sequence[LeftOutFile] = ()

    def account(self, item: StandingFile) -> FileAccount:
        """Explain one file."""
        if (explained := self._accounts.get(item.file.id)) is None:
            explained = self._accounts[item.file.id] = self._account(item)
        return explained

    def _account(self, item: StandingFile) -> FileAccount:
        item = renew(item, self.policy.rules, self.usual)
        evidence = self.evidence.get(item.file.id, NOTHING_KNOWN)
        judged = verdict(item.file, item.standing, self.policy, self.now)
        account = FileAccount(item.file.filename, item.file.version, judged.served, judged.state, judged.reason)
        if judged.served or item.standing.state is not State.HELD:
            return account
        # Evidence can only change the next state of a held file; until its state changes, the file is held.
        judged = verdict(item.file, item.standing, self.policy, self.now, evidence)
        is_due = judged.state is State.RELEASED
        return replace(
            account,
            state=item.standing.state if is_due else judged.state,
            reason=f"{judged.reason}; it is about to be released" if is_due else judged.reason,
            release_at=self._free_at(item, judged, evidence),
            findings=tuple(f"{finding.check}: {finding.summary}" for finding in evidence.findings),
        )

    def unserved(self) -> list[FileAccount]:
        """Explain every file that is not served, by version and name."""
        accounts = [self.account(item) for item in self.known]
        unserved = [account for account in accounts if not account.served]
        return sorted(unserved, key=lambda account: (version_key(account.version), account.filename))

    def explain(self, version: str, hashes: Collection[str] = ()) -> Explanation:
        """Explain one release, or those of its files that have one of the digests (`sha256:<hex>`)."""
        version = normalise_version(version)
        lost, explained = self._left_out_of(version), self._unversioned_of(version)
        explanation = self._explain(version, hashes, lost)
        return replace(explanation, files=(*explanation.files, *explained), left_out=lost)

    @cached_property
    def _accounts(self) -> dict[FileId, FileAccount]:
        """The explanations of files so far."""
        return {}

    @cached_property
    def _releases(self) -> Mapping[str, list[StandingFile]]:
        """The files by canonical version: 1.0 is 1.0.0."""
        releases = defaultdict[str, list[StandingFile]](list)
        for item in self.known:
            releases[canonical_version(item.file.version)].append(item)
        return releases

    @cached_property
    def _stated(self) -> list[tuple[LeftOutFile, str | None]]:
        """The files that are left out, each with the canonical version that its name states."""
        stated = [(file, version_of(file.name, self.project)) for file in self.left_out]
        return [(file, version if version is None else canonical_version(version)) for file, version in stated]

    @cached_property
    def _served(self) -> tuple[list[str], list[str]]:
        """The versions that are served and not yanked, in order: first without pre-releases, then all."""
        served = {
            item.file.version
            for item in self.known
            if item.file.yanked is None and verdict(item.file, item.standing, self.policy, self.now).served
        }
        versions = sorted(served, key=version_key)
        return [text for text in versions if not version_key(text)[1].is_prerelease], versions

    def _left_out_of(self, version: str) -> tuple[LeftOutFile, ...]:
        """Return the left-out files of a release; if a name states no version, it must contain the version's text."""
        wanted = canonical_version(version)
        return tuple(
            file for file, stated in self._stated if (stated == wanted if stated is not None else version in file.name)
        )

    def _unversioned_of(self, version: str) -> tuple[FileAccount, ...]:
        """Explain the files without a version whose names contain the text of this one."""
        unversioned = self._releases.get(canonical_version(""), ())
        return tuple(self.account(item) for item in unversioned if version and version in item.file.filename)

    def _explain(self, version: str, hashes: Collection[str], lost: Sequence[LeftOutFile]) -> Explanation:
        release = self._releases.get(canonical_version(version))
        if not release:
            return self._absent(version, lost)
        version = release[0].file.version
        digests = {text for text in hashes if text.startswith("sha256:")}
        wanted = [i for i in release if not digests or not i.file.sha256 or f"sha256:{i.file.sha256}" in digests]
        if not wanted:
            reason = "no file of the release has one of the requested digests"
            free = self._free(version)
            return Explanation(self.project, version, Availability.OTHER_BYTES, reason, free=free)
        # A lock names files; a client that names only a version accepts any file of it.
        accounts = tuple(self.account(item) for item in wanted)
        unserved = [account for account in accounts if not account.served]
        if not unserved or (not digests and len(unserved) < len(accounts)):
            reason = (
                f"{len(unserved)} of {len(accounts)} files are not served: {unserved[0].reason}" if unserved else ""
            )
            return Explanation(self.project, version, Availability.SERVED, reason, files=accounts)
        worst = _weigh(unserved, whole=bool(digests))
        state, at = Availability(worst.state), worst.release_at
        return Explanation(self.project, version, state, worst.reason, at, self._free(version), accounts)

    def _absent(self, version: str, lost: Sequence[LeftOutFile]) -> Explanation:
        """Explain a release without files here. A rule may close its name nevertheless."""
        free = self._free(version)
        if closed := closed_by(self.policy, version):
            return Explanation(self.project, version, Availability.BLOCKED, closed.reason, free=free)
        reason = "this index has no such release"
        if lost:
            reason += f"; the upstream's page lists {lost[0].name}, which is left out: {CAUSES[lost[0].cause]}"
        return Explanation(self.project, version, Availability.MISSING, reason, free=free)

    def _free_at(self, item: StandingFile, judged: Verdict, evidence: Evidence) -> datetime | None:
        """Return when time alone releases a held file; None if it does not, or if that time has passed."""
        actions = {self.policy.action(finding, item.file.version) for finding in evidence.findings}
        is_timed = judged.state is State.HELD and judged.recheck_at is not None
        if not is_timed or FindingAction.HOLD in actions or absence_of(item.file, self.policy):
            return None
        end = item.standing.release_at
        return end if end and end > self.now else None

    def _free(self, version: str) -> str | None:
        """Return the newest lower version that is served and not yanked.

        It is a pre-release only if the given version is one, or if no lower stable version is served.
        """
        wanted_key = version_key(version)
        stable, every = (
            versions[: bisect_left(versions, wanted_key, key=version_key)][-1:] for versions in self._served
        )
        choice = every if wanted_key[1].is_prerelease else stable or every
        return choice[0] if choice else None


async def load_snapshot(pool: Pool, project: NormalizedName, usual: timedelta) -> ProjectSnapshot:
    """Return the current data of a project; for an unknown name, only the rules that cover it."""
    async with (
        pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await projects.select_project(connection, project)
        # Read in portions, so that a large project does not block other requests.
        known = [item async for item in files.stream_project_files(connection, project)] if found else []
        policy = (
            await load_policy(connection, found) if found else Policy(rules=await select_rules(connection, project))
        )
        now = await projects.select_now(connection)
        held = [item.file.id for item in known if item.standing.state is State.HELD]
        evidence = await select_evidence(connection, held) if held else {}
        lost = await select_left_out(connection, project) if found and found.left_out else LeftOut()
    return ProjectSnapshot(project, known, policy, now, usual, evidence, lost.files)


async def explain(pool: Pool, project: NormalizedName, version: str, usual: timedelta) -> Explanation:
    """Explain one release in its current state."""
    return (await load_snapshot(pool, project, usual)).explain(version)


async def explain_file(pool: Pool, item: StandingFile, usual: timedelta) -> FileAccount:
    """Explain one file in its current state."""
    project = await projects.select_project(pool, item.file.project)
    assert project is not None
    policy, now = await load_policy(pool, project), await projects.select_now(pool)
    evidence = await select_evidence(pool, [item.file.id])
    return ProjectSnapshot(project.name, [item], policy, now, usual, evidence).account(item)


def _weigh(unserved: Sequence[FileAccount], *, whole: bool) -> FileAccount:
    """Return the file that decides: the last to be released if all are needed (`whole`), otherwise the first."""

    def wait(account: FileAccount) -> tuple[int, bool, float]:
        moment = account.release_at
        return BY_HOPE.index(account.state), moment is None, moment.timestamp() if moment else 0.0

    return max(unserved, key=wait) if whole else min(unserved, key=wait)
